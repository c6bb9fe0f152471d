/** Publishes to JetStream and waits for the stored acknowledgement. Services with a database publish through the outbox instead. */
import type { JetStreamClient, NatsConnection } from 'nats';
import { encodeHeaders, newId } from './envelope.js';

export interface OutgoingEvent {
  readonly subject: string;
  readonly data: object;
  /** Absent: random. Also the key of JetStream's de-duplication. */
  readonly id?: string;
  readonly correlationId?: string;
  readonly causationId?: string;
  readonly time?: string;
}

export class EventPublisher {
  private readonly jetstream: JetStreamClient;

  constructor(
    readonly connection: NatsConnection,
    /** `ce-source`, e.g. `provisioner/provisioner-1`. */
    private readonly source: string,
  ) {
    this.jetstream = connection.jetstream({ timeout: 5_000 });
  }

  /** @returns the stream's answer. @throws NatsError when it was not stored: publish again with the same id. */
  async publish(
    event: OutgoingEvent,
  ): Promise<{ readonly stream: string; readonly sequence: number; readonly duplicate: boolean }> {
    const id = event.id ?? newId();
    const ack = await this.jetstream.publish(event.subject, JSON.stringify(event.data), {
      msgID: id,
      headers: encodeHeaders({
        id,
        type: event.subject,
        source: this.source,
        time: event.time ?? new Date().toISOString(),
        correlationId: event.correlationId ?? id,
        causationId: event.causationId,
      }),
    });
    return { stream: ack.stream, sequence: ack.seq, duplicate: ack.duplicate };
  }
}
