/** Rows of the outbox and the inbox, as they are written in the transaction of a decision. */
import type { EntityManager } from 'typeorm';
import { newId } from '../messaging/envelope.js';
import { assertContract } from '../messaging/outgoing-contracts.js';
import { queryPrepared } from './prepared.js';
import type { OutboxEvent } from './unit-of-work.js';

/** Writes the events in the given transaction, in one statement. */
export async function insertEvents(manager: EntityManager, events: readonly OutboxEvent[]): Promise<void> {
  await insertRows(manager, events.map(withText));
}

/** An event with its id and its body, JSON. */
export interface EventText {
  readonly event: OutboxEvent;
  readonly id: string;
  readonly text: string;
}

export function withText(event: OutboxEvent): EventText {
  assertContract(event.subject, event.data);
  return { event, id: event.id ?? newId(), text: JSON.stringify(event.data) };
}

async function insertRows(manager: EntityManager, texts: readonly EventText[]): Promise<void> {
  if (texts.length === 0) return;
  await manager.query(
    `INSERT INTO outbox (id, aggregate, subject, data, correlation_id, causation_id)
       SELECT id, aggregate, subject, data::jsonb, correlation_id, causation_id
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
           WITH ORDINALITY AS e(id, aggregate, subject, data, correlation_id, causation_id, position)
        ORDER BY position`,
    [
      texts.map(({ id }) => id),
      texts.map(({ event }) => event.aggregate ?? event.subject),
      texts.map(({ event }) => event.subject),
      texts.map(({ text }) => text),
      texts.map(({ event }) => event.correlationId),
      texts.map(({ event }) => event.causationId ?? null),
    ],
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

/** As {@link claimEvent} for many, each id once. @returns those that had not been handled before */
export async function claimEvents(
  manager: EntityManager,
  consumer: string,
  eventIds: readonly string[],
): Promise<ReadonlySet<string>> {
  // In one order everywhere: two transactions that claim the same ids wait for each other in one direction.
  const rows = await queryPrepared<{ event_id: string }>(
    manager,
    `INSERT INTO inbox (consumer, event_id) SELECT $1, id FROM unnest($2::text[]) AS id ORDER BY id
       ON CONFLICT DO NOTHING RETURNING event_id`,
    [consumer, eventIds],
  );
  return new Set(rows.map(({ event_id }) => event_id));
}

/** The event counts as not handled again; only in the transaction that claimed it. */
export async function unclaimEvents(
  manager: EntityManager,
  consumer: string,
  eventIds: readonly string[],
): Promise<void> {
  if (eventIds.length === 0) return;
  await manager.query('DELETE FROM inbox WHERE consumer = $1 AND event_id = ANY($2::text[])', [consumer, eventIds]);
}
