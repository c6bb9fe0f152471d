/**
 * Transactional outbox: what a transaction decided is written beside it and published after the commit, at least once,
 * in order per aggregate. Several copies of a service may run it on the same tables.
 */
import type { DataSource, EntityManager } from 'typeorm';
import type { Logger } from '../logging.js';
import type { ConsumerSource } from '../messaging/consumer-source.js';
import { newId } from '../messaging/envelope.js';
import type { EventPublisher } from '../messaging/publisher.js';

export interface OutboxEvent {
  readonly subject: string;
  readonly data: object;
  /** Absent: the subject. */
  readonly aggregate?: string;
  readonly id?: string;
  readonly correlationId: string;
  readonly causationId?: string;
}

interface PendingRow {
  sequence: string;
  id: string;
  subject: string;
  data: object;
  correlation_id: string;
  causation_id: string | null;
  created_at: Date;
}

const BATCH = 200;
const SWEEP_MS = 1_000;
const CHECK_BUS_MS = 10_000;
const TIDY_MS = 60_000;
const KEEP_SENT_HOURS = 24;
const KEEP_INBOX_DAYS = 8;

export class Outbox {
  private wanted = false;
  private running: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** By a clock that does not jump. */
  private lastBusCheck = -CHECK_BUS_MS;
  private lastTidy = -TIDY_MS;
  private closed = false;

  constructor(
    private readonly source: DataSource,
    private readonly publisher: EventPublisher,
    private readonly bus: Pick<ConsumerSource, 'positions'>,
    private readonly logger: Logger,
    /** The bus forgot what it had stored: queue again what must be on it beyond the rows kept here. */
    private readonly onAmnesia?: (stream: string) => Promise<void>,
  ) {}

  /** Runs the work in one transaction; what it adds is published right after the commit. */
  async transact<T>(work: (manager: EntityManager, add: (event: OutboxEvent) => void) => Promise<T>): Promise<T> {
    const events: OutboxEvent[] = [];
    const result = await this.source.transaction(async (manager) => {
      const value = await work(manager, (event) => events.push(event));
      await insertEvents(manager, events);
      return value;
    });
    if (events.length > 0) this.kick();
    return result;
  }

  /** Begins to sweep what a crash left. */
  start(): void {
    this.timer = setInterval(() => this.kick(), SWEEP_MS);
    this.kick();
  }

  /** Publishes what is left, if the bus and the database let it, and stops. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    this.kick();
    await this.running;
    this.closed = true;
  }

  kick(): void {
    if (this.closed) return;
    this.wanted = true;
    this.running ??= this.run().finally(() => {
      this.running = undefined;
    });
  }

  private async run(): Promise<void> {
    while (this.wanted) {
      this.wanted = false;
      try {
        await this.checkBus();
        while ((await this.relayBatch()) > 0);
        await this.tidy();
      } catch (error) {
        // The rows stay; the sweep comes again.
        this.logger.warn({ err: error }, 'outbox relay interrupted');
        return;
      }
    }
  }

  private async relayBatch(): Promise<number> {
    return this.source.transaction(async (manager) => {
      // A row waits while an earlier one of its aggregate is unsent; rows that another copy has in hand are locked, not gone.
      const rows: PendingRow[] = await manager.query(
        `SELECT o.sequence, o.id, o.subject, o.data, o.correlation_id, o.causation_id, o.created_at FROM outbox o
          WHERE o.sent_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.sent_at IS NULL AND e.aggregate = o.aggregate AND e.sequence < o.sequence)
          ORDER BY o.sequence LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`,
      );
      if (rows.length === 0) return 0;
      const results = await Promise.allSettled(
        rows.map((row) =>
          this.publisher.publish({
            subject: row.subject,
            data: row.data,
            id: row.id,
            correlationId: row.correlation_id,
            causationId: row.causation_id ?? undefined,
            time: row.created_at.toISOString(),
          }),
        ),
      );
      const sent = rows.filter((_, index) => results[index]?.status === 'fulfilled').map((row) => row.sequence);
      // Not flushed to disk at once: a mark that a crash forgets means that the event is sent again under the same id.
      if (sent.length > 0) await manager.query("UPDATE outbox SET sent_at = now() WHERE sequence = ANY($1) AND set_config('synchronous_commit', 'off', true) = 'off'", [sent]);
      const failure = results.find((result) => result.status === 'rejected');
      if (failure) this.logger.warn({ err: failure.reason, unsent: rows.length - sent.length }, 'the bus did not take every event');
      return failure ? 0 : sent.length;
    });
  }

  /** JetStream may forget acknowledged messages in a power cut, even a whole stream: then everything kept is sent again. */
  private async checkBus(): Promise<void> {
    if (performance.now() - this.lastBusCheck < CHECK_BUS_MS) return;
    this.lastBusCheck = performance.now();
    // First what was known, then what is: another copy may note a higher sequence between the two.
    const positions: { stream: string; created: string; last_sequence: string }[] = await this.source.query('SELECT stream, created, last_sequence FROM bus_position');
    for (const { name, created, lastSequence: last } of await this.bus.positions()) {
      const before = positions.find(({ stream }) => stream === name);
      if (before && (before.created !== created || Number(before.last_sequence) > last)) {
        this.logger.error({ stream: name, had: before, has: { created, last } }, 'the bus lost messages; publishing again what is kept');
        await this.source.query('UPDATE outbox SET sent_at = NULL WHERE sent_at IS NOT NULL');
        await this.onAmnesia?.(name);
      }
      await this.source.query(
        `INSERT INTO bus_position (stream, created, last_sequence) VALUES ($1, $2, $3)
         ON CONFLICT (stream) DO UPDATE SET created = $2, last_sequence = $3`,
        [name, created, last],
      );
    }
  }

  private async tidy(): Promise<void> {
    if (performance.now() - this.lastTidy < TIDY_MS) return;
    this.lastTidy = performance.now();
    await this.source.query(`DELETE FROM outbox WHERE sent_at < now() - interval '${KEEP_SENT_HOURS} hours'`);
    await this.source.query(`DELETE FROM inbox WHERE handled_at < now() - interval '${KEEP_INBOX_DAYS} days'`);
  }
}

/** Writes the events in the given transaction, in one statement. */
export async function insertEvents(manager: EntityManager, events: readonly OutboxEvent[]): Promise<void> {
  if (events.length === 0) return;
  const values = events.map((_, index) => `($${index * 6 + 1}, $${index * 6 + 2}, $${index * 6 + 3}, $${index * 6 + 4}, $${index * 6 + 5}, $${index * 6 + 6})`);
  await manager.query(
    `INSERT INTO outbox (id, aggregate, subject, data, correlation_id, causation_id) VALUES ${values.join(', ')}`,
    events.flatMap((event) => [
      event.id ?? newId(),
      event.aggregate ?? event.subject,
      event.subject,
      JSON.stringify(event.data),
      event.correlationId,
      event.causationId ?? null,
    ]),
  );
}

/** @returns false when this consumer has handled the event before: the caller must change nothing */
export async function claimEvent(manager: EntityManager, consumer: string, eventId: string): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    'INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING event_id',
    [consumer, eventId],
  );
  return rows.length === 1;
}
