import { Controller, Inject } from '@nestjs/common';
import {
  containerStatus,
  HOST_HEARTBEATS,
  type HostHeartbeat,
  STORAGE_HEARTBEATS,
  type StorageHeartbeat,
  SUBJECTS,
} from '@plinth/contracts';
import { newId, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { recordHostHeartbeat, recordStorageHeartbeat, recoverContainers } from './host.store.js';
import { retirementsToRepeat } from '../images/retirement.store.js';
import { statusOf } from '../containers/domain/container-record.js';

/** Heartbeats of hosts and storage nodes; a name in the body that is not the subject's is ignored. */
@Controller()
export class HeartbeatsHandler {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  @OnEvent(HOST_HEARTBEATS)
  async host(event: ReceivedEvent<HostHeartbeat>): Promise<void> {
    const { host } = event.data;
    if (event.tokens[2] !== host) return;
    await this.outbox.transact(async (manager, add) => {
      const meaning = await recordHostHeartbeat(manager, event.data);
      if (meaning === 'known') return;
      const correlationId = newId();
      const subject = meaning === 'joined' ? SUBJECTS.hostJoined : SUBJECTS.hostRecovered;
      add({ subject, aggregate: `host:${host}`, data: { host, lastSeenAt: new Date().toISOString() }, correlationId });
      if (meaning === 'recovered') {
        for (const record of await recoverContainers(manager, host)) {
          add({ subject: containerStatus(record.id), data: statusOf(record), correlationId });
        }
      }
    });
  }

  @OnEvent(STORAGE_HEARTBEATS)
  async storage(event: ReceivedEvent<StorageHeartbeat>): Promise<void> {
    if (event.tokens[2] !== event.data.node) return;
    await this.outbox.transact(async (manager, add) => {
      await recordStorageHeartbeat(manager, event.data);
      // A node that was away for longer than the bus remembers still holds what was retired meanwhile.
      for (const image of await retirementsToRepeat(manager, event.data.images)) {
        add({ subject: SUBJECTS.imageRetired, aggregate: `image:${image.name}`, data: image, correlationId: newId() });
      }
    });
  }
}
