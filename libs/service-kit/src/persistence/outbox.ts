/**
 * Transactional outbox: what a transaction decided is written beside it and published after the commit, at least once,
 * in order per aggregate. Several copies of a service may run it on the same tables.
 */
import { ErrorCode, NatsError } from 'nats';
import { DataSource, type EntityManager } from 'typeorm';
import { Inject, Injectable } from '@nestjs/common';
import { WorkLoop } from '../lifecycle/work-loop.js';
import type { Logger } from '../logging.js';
import type { ConsumerSource } from '../messaging/consumer-source.js';
import { EventPublisher, type StoredAs } from '../messaging/publisher.js';
import { CONSUMERS, LOGGER } from '../service-context.js';
import {
  type BatchPosition,
  forgetBatches,
  type HeldBatch,
  insertBatch,
  isFirstInTurn,
  markBatchSent,
  markWhollySent,
  openDue,
  openUntaken,
} from './outbox-batch.js';
import { measureOutbox } from './outbox-metrics.js';
import { insertEvents } from './outbox-rows.js';
import { type Cause, type OutboxEvent, UnitOfWork } from './unit-of-work.js';

interface PendingRow {
  sequence: string;
  id: string;
  subject: string;
  data: object;
  correlation_id: string;
  causation_id: string | null;
  created_at: Date;
  begun: Date;
}

/** Where the bus has stored an event. */
interface Stored extends StoredAs {
  readonly row: string;
}

const BATCH = 200;
/** So many events of one transaction are published from memory. */
const MANY = 8;
/** Transactions whose events are on their way. */
const DELIVERING = 4;
/** Of a batch, at most: what the bus refuses for long must not take the place of what it takes. */
const REFUSED_PER_BATCH = 50;
/** A refused event is published again after a growing pause, seconds. */
const LONGEST_PAUSE_SECONDS = 30;
const SWEEP_MS = 1_000;
const CHECK_BUS_MS = 10_000;
const TIDY_MS = 60_000;
/** Rows that are deleted in one transaction. */
const PIECE = 10_000;
/** Of batches, each of which has hundreds of events. */
const BATCH_PIECE = 50;
const KEEP_SENT_HOURS = 24;
const KEEP_INBOX_DAYS = 8;

@Injectable()
export class Outbox {
  private readonly loop: WorkLoop;
  private healer: ((stream: string, manager: EntityManager) => Promise<void>) | undefined;
  /** Time of the last check, by a clock that does not jump. */
  private lastBusCheck = -CHECK_BUS_MS;
  private lastTidy = -TIDY_MS;
  private readonly delivering = new Set<Promise<void>>();

  constructor(
    @Inject(DataSource) private readonly source: DataSource,
    @Inject(EventPublisher) private readonly publisher: EventPublisher,
    @Inject(CONSUMERS) private readonly bus: Pick<ConsumerSource, 'positions'>,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.relay(),
      periodMs: SWEEP_MS,
      retryMs: () => SWEEP_MS,
      // The rows stay in the table and are sent later.
      failed: (error) => this.logger.warn({ err: error }, 'outbox relay interrupted; it goes on soon'),
    });
  }

  /**
   * @param heal called when the bus has forgotten what it had stored: queues again what must be on it beyond the rows
   * kept here, in the transaction that found it
   */
  onAmnesia(heal: (stream: string, manager: EntityManager) => Promise<void>): void {
    this.healer = heal;
  }

  /** Runs the work in one transaction; what it adds is published right after the commit. */
  async transact<T>(work: (manager: EntityManager, add: (event: OutboxEvent) => void) => Promise<T>): Promise<T> {
    const events: OutboxEvent[] = [];
    const result = await this.source.transaction(async (manager) => {
      const value = await work(manager, (event) => events.push(event));
      await insertEvents(manager, events);
      return value;
    });
    if (events.length > 0) this.loop.kick();
    return result;
  }

  /** As {@link transact}: all that is published goes back to the cause. */
  work<T>(cause: Cause, work: (unit: UnitOfWork) => Promise<T>): Promise<T> {
    return this.transact((manager, add) => work(new UnitOfWork(manager, cause, add)));
  }

  /**
   * As {@link transact}, for many events that all begin an aggregate: nothing that was written before can be due before
   * them. They are published from memory, without being read again.
   * @returns `delivered` resolves when the bus has them, or the relay has taken over those that it did not take
   */
  async transactFresh<T>(
    work: (manager: EntityManager, add: (event: OutboxEvent) => void) => Promise<T>,
  ): Promise<{ readonly value: T; readonly delivered: Promise<void> }> {
    let held: HeldBatch | undefined;
    const value = await this.source.transaction(async (manager) => {
      const events: OutboxEvent[] = [];
      const result = await work(manager, (event) => events.push(event));
      held = await insertBatch(manager, events);
      return result;
    });
    if (!held) return { value, delivered: Promise.resolve() };
    return { value, delivered: this.beginDelivery(held) };
  }

  /**
   * As {@link transact}, for a transaction with many events: they are published from memory, unless earlier ones of the
   * same aggregates are still to be published.
   */
  async transactMany<T>(work: (manager: EntityManager, add: (event: OutboxEvent) => void) => Promise<T>): Promise<T> {
    // What is decided and not yet published stays bounded.
    while (this.delivering.size >= DELIVERING) await Promise.race(this.delivering);
    let held: HeldBatch | undefined;
    const events: OutboxEvent[] = [];
    const value = await this.source.transaction(async (manager) => {
      const result = await work(manager, (event) => events.push(event));
      if (events.length >= MANY && (await isFirstInTurn(manager, events))) held = await insertBatch(manager, events);
      else await insertEvents(manager, events);
      return result;
    });
    if (held) void this.beginDelivery(held);
    else if (events.length > 0) this.loop.kick();
    return value;
  }

  /** Waits until what this process has committed so far, and publishes from memory, is on the bus, or in the table. */
  async delivered(): Promise<void> {
    await Promise.all(this.delivering);
  }

  private beginDelivery(batch: HeldBatch): Promise<void> {
    const delivered: Promise<void> = this.deliver(batch).finally(() => this.delivering.delete(delivered));
    this.delivering.add(delivered);
    return delivered;
  }

  private async deliver(batch: HeldBatch): Promise<void> {
    const results = await Promise.allSettled(
      batch.events.map(({ event: { subject, data, correlationId, causationId }, id, text }) =>
        this.publisher.publishText(subject, text, data, { id, correlationId, causationId, time: batch.created }),
      ),
    );
    const stored = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const failures = results.flatMap((result, index) => {
      const id = batch.events[index]?.id;
      return result.status === 'rejected' && id !== undefined ? [{ id, error: result.reason as unknown }] : [];
    });
    try {
      if (
        failures.length === 0 &&
        (await markWhollySent(this.source.manager, batch, highestOf(stored), lowestOf(stored)))
      )
        return;
      await this.source.transaction(async (manager) => {
        if (await markBatchSent(manager, batch, highestOf(stored)))
          await openUntaken(
            manager,
            batch,
            failures.map(({ id, error }) => ({ id, isRefused: isRefusal(error) })),
          );
        await this.findForgotten(manager, stored, new Date(batch.created));
      });
    } catch (error) {
      // They are published again under the same ids when the hold is over.
      this.logger.warn({ err: error }, 'what was published could not be marked; it is published again');
    }
    if (failures[0]) {
      this.logger.warn(
        { err: failures[0].error, unsent: failures.length },
        'the bus did not take every event; they are published again',
      );
      this.loop.kick();
    }
  }

  /** Begins to sweep what a crash left. */
  start(): void {
    measureOutbox(this.source, this.logger);
    this.loop.start();
  }

  /** Publishes what is left, if the bus and the database let it, and stops. */
  async stop(): Promise<void> {
    await this.delivered();
    await this.loop.finish();
  }

  private async relay(): Promise<void> {
    await this.checkBus();
    while (await openDue(this.source.manager));
    while ((await this.relayBatch()) > 0);
    await this.tidy();
  }

  private async relayBatch(): Promise<number> {
    return this.source.transaction(async (manager) => {
      const rows = [...(await unsentRows(manager, FRESH)), ...(await unsentRows(manager, REFUSED))];
      if (rows.length === 0) return 0;
      const results = await Promise.allSettled(
        rows.map(async (row): Promise<Stored> => {
          const ack = await this.publisher.publishUnchecked(row.subject, row.data, {
            id: row.id,
            correlationId: row.correlation_id,
            causationId: row.causation_id ?? undefined,
            time: row.created_at.toISOString(),
          });
          return { ...ack, row: row.sequence };
        }),
      );
      const sent = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      await this.markSent(manager, sent);
      await this.findForgotten(manager, sent, rows[0]?.begun);
      const failures = results.flatMap((result, index) => {
        const row = rows[index];
        return result.status === 'rejected' && row ? [{ row, error: result.reason as unknown }] : [];
      });
      const refused = failures.filter(({ error }) => isRefusal(error));
      await this.postpone(
        manager,
        refused.map(({ row }) => row),
      );
      if (failures[0])
        this.logger.warn(
          {
            err: failures[0].error,
            unsent: failures.length,
            refused: refused.length,
            subject: failures[0].row.subject,
          },
          'the bus did not take every event',
        );
      // Others go on in place of those that were refused; without an answer, all wait for the bus.
      return failures.length > refused.length ? 0 : rows.length;
    });
  }

  private async postpone(manager: EntityManager, rows: readonly { readonly sequence: string }[]): Promise<void> {
    if (rows.length === 0) return;
    await manager.query(
      `UPDATE outbox SET refusals = refusals + 1,
              not_before = clock_timestamp() + least(${LONGEST_PAUSE_SECONDS}, 2 ^ least(refusals, 10)) * interval '1 second'
        WHERE sequence = ANY($1)`,
      [rows.map(({ sequence }) => sequence)],
    );
  }

  private async markSent(manager: EntityManager, sent: readonly Stored[]): Promise<void> {
    if (sent.length === 0) return;
    // The mark is not flushed to disk at once: a mark that a crash forgets means that the event is sent again under the
    // same id.
    await manager.query(
      `UPDATE outbox o SET sent_at = clock_timestamp(), sent_stream = s.stream, sent_sequence = s.position, not_before = NULL
         FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS s(sequence, stream, position)
        WHERE o.sequence = s.sequence AND set_config('synchronous_commit', 'off', true) = 'off'`,
      [sent.map(({ row }) => row), sent.map(({ stream }) => stream), sent.map(({ sequence }) => sequence)],
    );
  }

  /**
   * A stream only counts up: what was stored before this batch was begun, and at no lower a position than a message of
   * it, the bus has forgotten.
   * Marks are made after the answer, so another copy's messages that came between are younger than the begin.
   */
  private async findForgotten(
    manager: EntityManager,
    sent: readonly StoredAs[],
    begun: Date | undefined,
  ): Promise<void> {
    for (const [stream, sequence] of lowestOf(sent)) {
      const [, count]: [unknown, number] = await manager.query(
        'UPDATE outbox SET sent_at = NULL WHERE sent_stream = $1 AND sent_sequence >= $2 AND sent_at < $3',
        [stream, sequence, begun],
      );
      const batches = await forgetBatches(manager, stream, sequence, begun);
      if (count + batches > 0) await this.healAmnesia(manager, stream, { count, batches, from: sequence });
    }
  }

  /**
   * In one transaction with what is found: a loss is found once, and an older message that is sent again comes before
   * what is so now.
   */
  private async healAmnesia(manager: EntityManager, stream: string, found: object): Promise<void> {
    this.logger.error({ stream, ...found }, 'the bus lost messages; publishing again what it does not have any more');
    // Marks need not be flushed at once; this must.
    await manager.query('SET LOCAL synchronous_commit TO DEFAULT');
    await this.healer?.(stream, manager);
  }

  /** JetStream may forget acknowledged messages in a power cut, even a whole stream: then what it had is sent again. */
  private async checkBus(): Promise<void> {
    if (performance.now() - this.lastBusCheck < CHECK_BUS_MS) return;
    this.lastBusCheck = performance.now();
    // What was known is read before what is there now: another copy may record or send more between the two.
    const known: { begun: Date; streams: { stream: string; created: string }[] }[] = await this.source.query(
      `SELECT clock_timestamp() AS begun,
              (SELECT coalesce(json_agg(json_build_object('stream', stream, 'created', created)), '[]')
                 FROM bus_position) AS streams`,
    );
    const { begun, streams } = known[0] ?? { begun: new Date(0), streams: [] };
    for (const { name, created, lastSequence: last } of await this.bus.positions()) {
      const before = streams.find(({ stream }) => stream === name);
      const isAnother = before !== undefined && before.created !== created;
      const position = isAnother ? 0 : last + 1;
      await this.source.transaction(async (manager) => {
        const [, count]: [unknown, number] = await manager.query(
          'UPDATE outbox SET sent_at = NULL WHERE sent_stream = $1 AND sent_sequence >= $2 AND sent_at < $3',
          [name, position, begun],
        );
        const batches = await forgetBatches(manager, name, position, begun);
        if (isAnother || count + batches > 0)
          await this.healAmnesia(manager, name, { count, batches, has: { created, last } });
        await manager.query(
          `INSERT INTO bus_position (stream, created, last_sequence) VALUES ($1, $2, $3)
           ON CONFLICT (stream) DO UPDATE SET created = $2, last_sequence = $3`,
          [name, created, last],
        );
      });
    }
  }

  private async tidy(): Promise<void> {
    if (performance.now() - this.lastTidy < TIDY_MS) return;
    this.lastTidy = performance.now();
    // In pieces: one long transaction would keep the dead rows of every table.
    await this.deletePieces('outbox', 'sent_at', `${KEEP_SENT_HOURS} hours`);
    await this.deletePieces('outbox_batch', 'sent_at', `${KEEP_SENT_HOURS} hours`, BATCH_PIECE);
    await this.deletePieces('inbox', 'handled_at', `${KEEP_INBOX_DAYS} days`);
  }

  private async deletePieces(table: string, column: string, age: string, piece = PIECE): Promise<void> {
    for (;;) {
      const [, count]: [unknown, number] = await this.source.query(
        `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM ${table} WHERE ${column} < now() - interval '${age}' LIMIT ${piece} FOR UPDATE SKIP LOCKED))`,
      );
      if (count < piece || this.loop.isStopping) return;
    }
  }
}

function highestOf(stored: readonly StoredAs[]): readonly BatchPosition[] {
  const highest = new Map<string, number>();
  for (const { stream, sequence } of stored) highest.set(stream, Math.max(sequence, highest.get(stream) ?? 0));
  return [...highest].map(([stream, position]) => ({ stream, highest: position }));
}

/** By stream; what it had before has an older position. */
function lowestOf(stored: readonly StoredAs[]): ReadonlyMap<string, number> {
  const lowest = new Map<string, number>();
  for (const { stream, sequence, duplicate } of stored)
    if (!duplicate) lowest.set(stream, Math.min(sequence, lowest.get(stream) ?? Infinity));
  return lowest;
}

type Unsent = Readonly<{ which: string; order: string; limit: number }>;
const FRESH: Unsent = { which: 'o.not_before IS NULL', order: 'o.sequence', limit: BATCH };
const REFUSED: Unsent = { which: 'o.not_before <= clock_timestamp()', order: 'o.not_before', limit: REFUSED_PER_BATCH };

/**
 * Locks rows that may be published now. A row waits while an earlier event of its aggregate is unsent, as a row or in a
 * batch; rows that another copy is publishing are locked, not gone.
 */
function unsentRows(manager: EntityManager, { which, order, limit }: Unsent): Promise<PendingRow[]> {
  return manager.query(
    `SELECT o.sequence, o.id, o.subject, o.data, o.correlation_id, o.causation_id, o.created_at,
            clock_timestamp() AS begun
       FROM outbox o
      WHERE o.sent_at IS NULL AND ${which}
        AND NOT EXISTS (SELECT 1 FROM outbox e
                         WHERE e.sent_at IS NULL AND e.aggregate = o.aggregate AND e.sequence < o.sequence)
        AND NOT EXISTS (SELECT 1 FROM outbox_batch b
                         WHERE b.sent_at IS NULL AND b.sequence < o.sequence AND hashtext(o.aggregate) = ANY(b.aggregates))
      ORDER BY ${order} LIMIT ${limit} FOR UPDATE SKIP LOCKED`,
  );
}

/** The bus answered, and does not store this event now: its stream is full, it is too long, or may not be published. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof NatsError &&
    (error.api_error !== undefined || error.code === ErrorCode.MaxPayloadExceeded || error.isPermissionError())
  );
}
