/**
 * The events of a batch as one row, for a writer that publishes them itself right after its commit: hundreds of rows
 * that are written, marked and indexed one by one cost more than the decision that they carry. When the writer dies,
 * or the bus does not take some of them, they become rows of the outbox, in the places that were kept for them.
 */
import type { EntityManager } from 'typeorm';
import { type EventText, withText } from './outbox-rows.js';
import { queryPrepared } from './prepared.js';
import type { OutboxEvent } from './unit-of-work.js';

/** The writer alone publishes a batch for so long; then any copy of the service does. */
const HELD_SECONDS = 10;
/** Batches that become rows in one transaction. */
const OPENED_AT_ONCE = 10;

/** A batch as its writer holds it. */
export interface HeldBatch {
  /** The first place of its events in the order of the outbox: what is written later has a higher one. */
  readonly sequence: string;
  /** ISO 8601. */
  readonly created: string;
  readonly events: readonly EventText[];
}

/** The highest position that events of a batch have in one stream. */
export interface BatchPosition {
  readonly stream: string;
  readonly highest: number;
}

/** @param events each is the first of its aggregate */
export async function insertBatch(
  manager: EntityManager,
  events: readonly OutboxEvent[],
): Promise<HeldBatch | undefined> {
  if (events.length === 0) return undefined;
  const texts = events.map(withText);
  const rows = await queryPrepared<{ sequence: string; created_at: Date }>(
    manager,
    `INSERT INTO outbox_batch (sequence, sequences, aggregates, events, not_before)
       SELECT sequences[1], sequences, (SELECT array_agg(hashtext(a)) FROM unnest($2::text[]) AS a), $3,
              clock_timestamp() + make_interval(secs => ${HELD_SECONDS})
         FROM (SELECT array_agg(nextval(pg_get_serial_sequence('outbox', 'sequence'))) AS sequences
                 FROM generate_series(1, $1::int)) AS places
     RETURNING sequence, created_at`,
    [texts.length, texts.map(({ event }) => event.aggregate ?? event.subject), `[${texts.map(asJson).join(',')}]`],
  );
  const [row] = rows;
  return row && { sequence: row.sequence, created: row.created_at.toISOString(), events: texts };
}

/**
 * Whether nothing that was committed before has to be published before these events, and none of them before another.
 * What is committed later waits for them. For a transaction that has locked what the aggregates stand for.
 */
export async function isFirstInTurn(
  manager: EntityManager,
  events: readonly Pick<OutboxEvent, 'aggregate' | 'subject'>[],
): Promise<boolean> {
  const aggregates = [...new Set(events.map(({ aggregate, subject }) => aggregate ?? subject))];
  if (aggregates.length < events.length) return false;
  const rows: { waits: boolean }[] = await manager.query(
    `SELECT EXISTS (SELECT 1 FROM outbox WHERE sent_at IS NULL AND aggregate = ANY($1::text[]))
         OR EXISTS (SELECT 1 FROM outbox_batch b WHERE b.sent_at IS NULL
              AND b.aggregates && (SELECT array_agg(hashtext(a)) FROM unnest($1::text[]) AS a)) AS waits`,
    [aggregates],
  );
  return rows[0]?.waits === false;
}

function asJson({ event, id, text }: EventText): string {
  const { aggregate, subject, correlationId, causationId } = event;
  const rest = {
    id,
    aggregate: aggregate ?? subject,
    subject,
    correlation_id: correlationId,
    causation_id: causationId,
  };
  return `${JSON.stringify(rest).slice(0, -1)},"data":${text}}`;
}

/**
 * The bus has all of its events, but those that have become rows since.
 * @returns false when another process has made rows of it: they are published again, under the same ids
 */
export async function markBatchSent(
  manager: EntityManager,
  { sequence }: Pick<HeldBatch, 'sequence'>,
  positions: readonly BatchPosition[],
): Promise<boolean> {
  // As with rows, a mark that a crash forgets means that the events are sent again.
  const [, marked]: [unknown, number] = await manager.query(
    `UPDATE outbox_batch SET sent_at = clock_timestamp(), not_before = NULL
      WHERE sequence = $1 AND set_config('synchronous_commit', 'off', true) = 'off'`,
    [sequence],
  );
  if (marked === 0) return false;
  await manager.query(
    `INSERT INTO outbox_batch_position (stream, highest, batch) SELECT stream, highest, $1
       FROM unnest($2::text[], $3::bigint[]) AS p(stream, highest)`,
    [sequence, positions.map(({ stream }) => stream), positions.map(({ highest }) => highest)],
  );
  return true;
}

/**
 * As {@link markBatchSent} where the bus has all events of the batch, in one statement: marks nothing when something
 * that was stored before the batch had a position of these, which the bus has then forgotten.
 * @param lowest by stream: the first position that the batch was given
 * @returns whether it is marked
 */
export async function markWhollySent(
  manager: Pick<EntityManager, 'query'>,
  { sequence, created }: Pick<HeldBatch, 'sequence' | 'created'>,
  positions: readonly BatchPosition[],
  lowest: ReadonlyMap<string, number>,
): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `WITH forgotten AS MATERIALIZED (
       SELECT 1 FROM unnest($4::text[], $5::bigint[]) AS l(stream, lowest)
        WHERE EXISTS (SELECT 1 FROM outbox o
                       WHERE o.sent_stream = l.stream AND o.sent_sequence >= l.lowest AND o.sent_at < $6)
           OR EXISTS (SELECT 1 FROM outbox_batch_position p JOIN outbox_batch b ON b.sequence = p.batch
                       WHERE p.stream = l.stream AND p.highest >= l.lowest AND b.sent_at < $6)),
     marked AS (
       UPDATE outbox_batch SET sent_at = clock_timestamp(), not_before = NULL
        WHERE sequence = $1 AND NOT EXISTS (SELECT 1 FROM forgotten)
          AND set_config('synchronous_commit', 'off', true) = 'off' RETURNING sequence),
     noted AS (
       INSERT INTO outbox_batch_position (stream, highest, batch) SELECT stream, highest, marked.sequence
         FROM marked CROSS JOIN unnest($2::text[], $3::bigint[]) AS p(stream, highest))
     SELECT 1 FROM marked`,
    [
      sequence,
      positions.map(({ stream }) => stream),
      positions.map(({ highest }) => highest),
      [...lowest.keys()],
      [...lowest.values()],
      created,
    ],
  );
  return rows.length === 1;
}

/** An event that the bus did not take. */
export interface Untaken {
  readonly id: string;
  /** The bus answered that it does not take it now. */
  readonly isRefused: boolean;
}

const ROWS = `
  INSERT INTO outbox (sequence, id, aggregate, subject, data, correlation_id, causation_id, created_at, refusals,
    not_before) OVERRIDING SYSTEM VALUE
  SELECT b.sequences[e.place], event->>'id', event->>'aggregate', event->>'subject', (event->'data')::jsonb,
         event->>'correlation_id', event->>'causation_id', b.created_at, r.refusals,
         CASE WHEN r.refusals > 0 THEN clock_timestamp() + interval '1 second' END
    FROM outbox_batch b CROSS JOIN LATERAL json_array_elements(b.events::json) WITH ORDINALITY AS e(event, place)`;
/** What a batch has in common with one that was opened before, after the bus had forgotten it, is there already. */
const ONCE = 'ON CONFLICT (id) DO NOTHING';

/** These events of a batch become rows: they are published again, refused ones after a pause. */
export async function openUntaken(
  manager: EntityManager,
  { sequence }: Pick<HeldBatch, 'sequence'>,
  untaken: readonly Untaken[],
): Promise<void> {
  if (untaken.length === 0) return;
  await manager.query(
    `${ROWS} JOIN LATERAL (SELECT (event->>'id' = ANY($3::text[]))::int AS refusals) r ON event->>'id' = ANY($2::text[])
      WHERE b.sequence = $1 ${ONCE}`,
    [sequence, untaken.map(({ id }) => id), untaken.flatMap(({ id, isRefused }) => (isRefused ? [id] : []))],
  );
}

/** Batches whose writers died, or that the bus has forgotten, become rows. @returns whether there were any */
export async function openDue(manager: EntityManager): Promise<boolean> {
  const [, opened]: [unknown, number] = await manager.query(
    `WITH due AS (
       SELECT sequence FROM outbox_batch WHERE sent_at IS NULL AND not_before <= clock_timestamp()
        ORDER BY sequence LIMIT ${OPENED_AT_ONCE} FOR UPDATE SKIP LOCKED),
     rows AS (${ROWS} JOIN due USING (sequence) CROSS JOIN (SELECT 0 AS refusals) r ${ONCE})
     DELETE FROM outbox_batch WHERE sequence IN (SELECT sequence FROM due)`,
  );
  return opened > 0;
}

/**
 * Batches with an event at or above a position that the bus has forgotten are due again, whole.
 * @param begun those that were marked later are younger than the loss
 * @returns how many
 */
export async function forgetBatches(
  manager: Pick<EntityManager, 'query'>,
  stream: string,
  position: number,
  begun: Date | undefined,
): Promise<number> {
  const [, forgotten]: [unknown, number] = await manager.query(
    `UPDATE outbox_batch SET sent_at = NULL, not_before = clock_timestamp() WHERE sent_at < $3
        AND sequence IN (SELECT batch FROM outbox_batch_position WHERE stream = $1 AND highest >= $2)`,
    [stream, position, begun],
  );
  return forgotten;
}
