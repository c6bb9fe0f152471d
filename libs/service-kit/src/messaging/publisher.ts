/**
 * Publishes to JetStream and waits for the stored acknowledgement. Services with a database publish through the outbox
 * instead.
 */
import type { EventOf, EventSubject } from '@plinth/contracts';
import type { JetStreamClient, NatsConnection } from 'nats';
import { encodeHeaders, newId } from './envelope.js';
import { assertContract } from './outgoing-contracts.js';

export interface EventAttributes {
  /** Absent: random. Also the key of JetStream's de-duplication. */
  readonly id?: string;
  readonly correlationId?: string;
  readonly causationId?: string;
  readonly time?: string;
  /** Who asked for it. */
  readonly actor?: string;
}

/** The subject determines the class of the data. */
export type OutgoingEvent<S extends EventSubject = EventSubject> = EventOf<S> & EventAttributes;

/** The stream's answer. */
export interface StoredAs {
  readonly stream: string;
  readonly sequence: number;
  /** The stream had the event before. */
  readonly duplicate: boolean;
}

/** An event that the bus has stored for this process, once, however often it was sent. */
export interface PublishedEvent {
  readonly subject: string;
  readonly data: object;
  readonly id: string;
  readonly correlationId: string;
  /** Absent: nothing on the bus caused it. */
  readonly causationId?: string;
  /** ISO 8601: when it was decided. */
  readonly time: string;
}

export class EventPublisher {
  private readonly jetstream: JetStreamClient;
  private readonly observers: ((event: PublishedEvent) => void)[] = [];

  constructor(
    readonly connection: NatsConnection,
    /** `ce-source`, e.g. `provisioner/provisioner-1`. */
    private readonly source: string,
  ) {
    // In a cluster another server answers soon, when the one that was asked does not.
    this.jetstream = connection.jetstream({ timeout: connection.info?.cluster === undefined ? 5_000 : 2_000 });
  }

  /** @throws NatsError when it was not stored: publish again with the same id. */
  async publish(event: OutgoingEvent): Promise<StoredAs> {
    assertContract(event.subject, event.data);
    return this.publishUnchecked(event.subject, event.data, event);
  }

  /** As {@link publish}, for what was checked when it was written down, or is passed on as it came. */
  publishUnchecked(subject: string, data: object, attributes: EventAttributes = {}): Promise<StoredAs> {
    return this.publishText(subject, JSON.stringify(data), data, attributes);
  }

  /** @param observer is called with each event that is stored from now on; it must not throw */
  observe(observer: (event: PublishedEvent) => void): void {
    this.observers.push(observer);
  }

  /** As {@link publishUnchecked}. @param text the body, JSON */
  async publishText(subject: string, text: string, data: object, attributes: EventAttributes): Promise<StoredAs> {
    const { id = newId(), time = new Date().toISOString(), correlationId = id, causationId, actor } = attributes;
    const ack = await this.jetstream.publish(subject, text, {
      msgID: id,
      headers: encodeHeaders({ id, type: subject, source: this.source, time, correlationId, causationId, actor }),
    });
    if (!ack.duplicate)
      for (const observer of this.observers) observer({ subject, data, id, correlationId, causationId, time });
    return { stream: ack.stream, sequence: ack.seq, duplicate: ack.duplicate };
  }
}
