/**
 * Tables that every service with a database has: what must be published, what was already handled, what the bus looked
 * like.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The position of each event on the bus: it distinguishes what the bus has forgotten from what it has. */
export class AddBusPositions1700000000500 implements MigrationInterface {
  readonly name = 'AddBusPositions1700000000500';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE outbox ADD COLUMN sent_stream text, ADD COLUMN sent_sequence bigint');
    await runner.query('CREATE INDEX outbox_on_bus ON outbox (sent_stream, sent_sequence) WHERE sent_at IS NOT NULL');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE outbox DROP COLUMN sent_stream, DROP COLUMN sent_sequence');
  }
}

/** What the bus refuses waits by itself; an event that waits for the first time is found by its place. */
export class AddRefusals1700000000700 implements MigrationInterface {
  readonly name = 'AddRefusals1700000000700';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'ALTER TABLE outbox ADD COLUMN refusals integer NOT NULL DEFAULT 0, ADD COLUMN not_before timestamptz',
    );
    await runner.query('CREATE INDEX outbox_fresh ON outbox (sequence) WHERE sent_at IS NULL AND not_before IS NULL');
    await runner.query(
      'CREATE INDEX outbox_refused ON outbox (not_before) WHERE sent_at IS NULL AND not_before IS NOT NULL',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE outbox DROP COLUMN refusals, DROP COLUMN not_before');
  }
}

/** The events of a batch as one row: outbox-batch.ts. */
export class AddOutboxBatches1700000000900 implements MigrationInterface {
  readonly name = 'AddOutboxBatches1700000000900';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE outbox_batch (
        sequence bigint PRIMARY KEY,
        sequences bigint[] NOT NULL,
        aggregates integer[] NOT NULL,
        events text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        not_before timestamptz,
        sent_at timestamptz
      )`);
    await runner.query('CREATE INDEX outbox_batch_unsent ON outbox_batch (sequence) WHERE sent_at IS NULL');
    await runner.query('CREATE INDEX outbox_batch_sent ON outbox_batch (sent_at) WHERE sent_at IS NOT NULL');
    await runner.query(`
      CREATE TABLE outbox_batch_position (
        stream text NOT NULL,
        highest bigint NOT NULL,
        batch bigint NOT NULL REFERENCES outbox_batch ON DELETE CASCADE,
        PRIMARY KEY (batch, stream)
      )`);
    await runner.query('CREATE INDEX outbox_batch_on_bus ON outbox_batch_position (stream, highest)');
    // The default compression takes longer than all else that is done with a batch.
    const [row] = (await runner.query(
      `SELECT 'lz4' = ANY(enumvals) AS "hasLz4" FROM pg_settings WHERE name = 'default_toast_compression'`,
    )) as { hasLz4: boolean }[];
    await runner.query(
      `ALTER TABLE outbox_batch ALTER COLUMN events SET ${row?.hasLz4 ? 'COMPRESSION lz4' : 'STORAGE EXTERNAL'}`,
    );
    // For people and for tests: every event, as a row or in a batch.
    await runner.query(`
      CREATE VIEW outbox_events AS
        SELECT sequence, id, aggregate, subject, data, created_at, sent_at FROM outbox
        UNION ALL
        SELECT b.sequences[e.place], event->>'id', event->>'aggregate', event->>'subject', (event->'data')::jsonb,
               b.created_at, b.sent_at
          FROM outbox_batch b CROSS JOIN LATERAL json_array_elements(b.events::json) WITH ORDINALITY AS e(event, place)
         WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = event->>'id')`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP VIEW outbox_events');
    await runner.query('DROP TABLE outbox_batch_position, outbox_batch');
  }
}

/** First migration of every service; the table names lie in the service's own schema. */
export class CreateOutboxAndInbox1700000000000 implements MigrationInterface {
  readonly name = 'CreateOutboxAndInbox1700000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE outbox (
        sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        aggregate text NOT NULL,
        subject text NOT NULL,
        data jsonb NOT NULL,
        correlation_id text NOT NULL,
        causation_id text,
        created_at timestamptz NOT NULL DEFAULT now(),
        sent_at timestamptz
      )`);
    await runner.query('CREATE INDEX outbox_unsent ON outbox (aggregate, sequence) WHERE sent_at IS NULL');
    await runner.query('CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL');
    await runner.query(`
      CREATE TABLE inbox (
        consumer text NOT NULL,
        event_id text NOT NULL,
        handled_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, event_id)
      )`);
    await runner.query('CREATE INDEX inbox_handled_at ON inbox (handled_at)');
    await runner.query(`
      CREATE TABLE bus_position (
        stream text PRIMARY KEY,
        created text NOT NULL,
        last_sequence bigint NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE bus_position, inbox, outbox');
  }
}
