/** Reads the bus's stream of requests and facts: keeps the last of them, and hands each on in its order. */
import { Inject, Injectable } from '@nestjs/common';
import { STREAMS } from '@plinth/contracts';
import type { EventEntry } from '@plinth/contracts/console';
import {
  CONNECTION,
  type ConsumerSource,
  CONSUMERS,
  decodeEnvelope,
  type OrderedReading,
  followStream,
  type Logger,
  LOGGER,
} from '@plinth/service-kit';
import { EventEmitter } from 'node:events';
import type { JsMsg, NatsConnection } from 'nats';
import { EventLog, KEPT_EVENTS, shownData } from '../domain/event-log.js';
import { AuditStore } from './postgres/audit.store.js';

/** Between two records of how far it was read. */
const RECORD_MS = 5_000;

/** Called with each event in its order; a rejection has it come again. */
export type TakeEvent = (entry: EventEntry) => Promise<void>;

@Injectable()
export class EventFeed extends EventEmitter<{ events: [] }> {
  readonly log = new EventLog();
  private readonly takers: TakeEvent[] = [];
  private tail: OrderedReading | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Of the stream that is read. */
  private created = '';
  private next: number | undefined;
  /** Position of the last event when reading began, or of one that came since. */
  private last = 0;
  private recorded = 0;
  private recording: Promise<void> | undefined;

  constructor(
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(CONSUMERS) private readonly consumers: ConsumerSource,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    super();
    this.setMaxListeners(0);
  }

  onEvent(take: TakeEvent): void {
    this.takers.push(take);
  }

  start(): void {
    this.tail = followStream(this.connection, {
      stream: STREAMS.events.name,
      consumers: this.consumers,
      from: (created, last) => this.begin(created, last),
      onMessage: (message) => this.take(message),
      logger: this.logger,
    });
    this.timer = setInterval(() => this.record(), RECORD_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.tail?.close();
    this.record();
    await this.recording;
  }

  /** Why events do not come; undefined: they do. */
  get problem(): string | undefined {
    return this.tail?.problem();
  }

  /** Whether each event that was on the bus a moment ago was taken. */
  get isCaughtUp(): boolean {
    return this.created !== '' && this.problem === undefined && (this.next ?? 1) > this.last;
  }

  private async begin(created: string, last: number): Promise<number> {
    if (this.created !== created) {
      this.log.clear();
      this.next = undefined;
      this.recorded = 0;
      this.created = created;
    }
    this.last = last;
    if (this.next !== undefined && this.next <= last + 1) return this.next;
    // At a start the last events are read again, so that there is something to show.
    const shown = last - KEPT_EVENTS + 1;
    const known = await this.audit.position(created);
    return known === undefined ? shown : Math.min(known + 1, shown);
  }

  private async take(message: JsMsg): Promise<void> {
    const { subject, seq, headers, data } = message;
    const storedAtMs = message.info.timestampNanos / 1e6;
    const envelope = decodeEnvelope(headers, { subject, position: String(seq), storedAtMs });
    const entry: EventEntry = {
      sequence: seq,
      subject,
      id: envelope.id,
      time: new Date(storedAtMs).toISOString(),
      correlationId: envelope.correlationId,
      causationId: envelope.causationId ?? null,
      actor: envelope.actor ?? null,
      source: envelope.source,
      data: shownData(bodyOf(data)),
    };
    this.last = Math.max(this.last, seq + message.info.pending);
    for (const take of this.takers) await take(entry);
    this.next = seq + 1;
    if (this.log.add(entry)) this.emit('events');
  }

  private record(): void {
    const read = (this.next ?? 1) - 1;
    if (read <= this.recorded || this.recording) return;
    this.recording = this.audit
      .savePosition(this.created, read)
      .then(
        () => void (this.recorded = read),
        (error: unknown) => this.logger.warn({ err: error }, 'how far events were read is recorded later'),
      )
      .finally(() => (this.recording = undefined));
  }
}

/** Anybody's: what is no JSON object is shown as such. */
function bodyOf(data: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString('utf8'));
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
    return { value };
  } catch (error) {
    if (error instanceof SyntaxError) return { unreadable: `${data.length} bytes` };
    throw error;
  }
}
