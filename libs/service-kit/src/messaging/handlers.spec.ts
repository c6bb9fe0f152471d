import { describe, expect, it } from '@jest/globals';
import {
  type ContainerStopRequested,
  containerStatus,
  type ContainerStatus,
  HOST_HEARTBEATS,
  type HostHeartbeat,
  type HostPage,
  type HostsQuery,
  type ImageRequested,
  QUERIES,
  type QueryReply,
  SUBJECTS,
} from '@plinth/contracts';
import type { ReceivedEvent } from './envelope.js';
import { OnEvent, OnHeartbeats, OnQuery } from './handlers.js';
import type { ReceivedHeartbeat } from './heartbeats.js';
import type { EventPublisher, OutgoingEvent } from './publisher.js';

/**
 * What the compiler refuses: each line below a `@ts-expect-error` would be an error without it, and one too many is an
 * error as well.
 */
class Handlers {
  @OnEvent(SUBJECTS.containerStopRequested, { concurrency: 8 })
  async stop(_event: ReceivedEvent<ContainerStopRequested>): Promise<void> {}

  @OnHeartbeats(HOST_HEARTBEATS)
  async heartbeats(_beats: readonly ReceivedHeartbeat<HostHeartbeat>[]): Promise<void> {}

  // @ts-expect-error -- heartbeats come together
  @OnEvent(HOST_HEARTBEATS)
  async heartbeat(_event: ReceivedEvent<HostHeartbeat>): Promise<void> {}

  // @ts-expect-error -- the payload of another subject
  @OnEvent(SUBJECTS.containerStopRequested)
  async wrongPayload(_event: ReceivedEvent<ImageRequested>): Promise<void> {}

  // @ts-expect-error -- no method handles a subject without a contract
  @OnEvent('container.stop')
  async unknownSubject(_event: ReceivedEvent<ContainerStopRequested>): Promise<void> {}

  @OnQuery(QUERIES.hosts)
  hosts(_query: HostsQuery): Promise<QueryReply<HostPage>> {
    return Promise.resolve({ ok: true, data: { items: [] } });
  }

  // @ts-expect-error -- the answer to another question
  @OnQuery(QUERIES.hosts)
  wrongReply(_query: HostsQuery): Promise<QueryReply<ContainerStatus>> {
    return Promise.resolve({ ok: false, reason: 'none', message: 'none' });
  }
}

async function publishing(publisher: EventPublisher, status: ContainerStatus): Promise<void> {
  await publisher.publish({ subject: SUBJECTS.hostCordoned, data: { host: 'h-1' } });
  await publisher.publish({ subject: containerStatus(status.id), data: status });
  // @ts-expect-error -- a field is missing
  await publisher.publish({ subject: SUBJECTS.hostJoined, data: { host: 'h-1' } });
  // @ts-expect-error -- a field too many
  await publisher.publish({ subject: SUBJECTS.hostCordoned, data: { host: 'h-1', because: 'x' } });
  // @ts-expect-error -- the body of another subject
  await publisher.publish({ subject: containerStatus('x'), data: { host: 'h-1' } });
  // @ts-expect-error -- no contract
  const event: OutgoingEvent = { subject: 'host.exploded', data: { host: 'h-1' } };
  await publisher.publish(event);
}

describe('handlers and publishers', () => {
  it('are held against the contract of their subject by the compiler', () => {
    expect(Object.getOwnPropertyNames(Handlers.prototype)).toContain('wrongReply');
    expect(publishing).toBeInstanceOf(Function);
  });
});
