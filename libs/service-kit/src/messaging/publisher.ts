/**
 * Publishes to JetStream and waits for the stored acknowledgement. Services with a database publish through the outbox
 * instead.
 */
import type { EventOf, EventSubject } from '@plinth/contracts';
import type { NatsConnection } from 'nats';
import { encodeStoredHeaders, newId } from './envelope.js';
import { assertContract } from './outgoing-contracts.js';
import { type StoredAs, StreamAnswers } from './stream-answers.js';

export type { StoredAs } from './stream-answers.js';

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
  private readonly answers: StreamAnswers;
  private readonly observers: ((event: PublishedEvent) => void)[] = [];

  constructor(
    readonly connection: NatsConnection,
    /** `ce-source`, e.g. `provisioner/provisioner-1`. */
    private readonly source: string,
  ) {
    // In a cluster another server answers soon, when the one that was asked does not.
    this.answers = new StreamAnswers(connection, connection.info?.cluster === undefined ? 5_000 : 2_000);
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
    const envelope = { id, type: subject, source: this.source, time, correlationId, causationId, actor };
    const headers = encodeStoredHeaders(envelope, id);
    const stored = await this.answers.store(subject, Buffer.from(text), headers);
    if (!stored.duplicate)
      for (const observer of this.observers) observer({ subject, data, id, correlationId, causationId, time });
    return stored;
  }
}
