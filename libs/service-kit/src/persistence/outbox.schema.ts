/** Tables that every service with a database has: what must be published, what was already handled, what the bus looked like. */
import { EntitySchema, type MigrationInterface, type QueryRunner } from 'typeorm';

export interface OutboxRow {
  readonly sequence: string;
  /** Message id on the bus, random 128 bit. */
  readonly id: string;
  /** Rows of one aggregate are published in their order, one after the other. */
  readonly aggregate: string;
  readonly subject: string;
  readonly data: object;
  readonly correlationId: string;
  readonly causationId: string | null;
  readonly createdAt: Date;
  readonly sentAt: Date | null;
}

export const OutboxSchema = new EntitySchema<OutboxRow>({
  name: 'outbox',
  columns: {
    sequence: { type: 'bigint', primary: true, generated: 'increment' },
    id: { type: 'text' },
    aggregate: { type: 'text' },
    subject: { type: 'text' },
    data: { type: 'jsonb' },
    correlationId: { type: 'text', name: 'correlation_id' },
    causationId: { type: 'text', name: 'causation_id', nullable: true },
    createdAt: { type: 'timestamptz', name: 'created_at', createDate: true },
    sentAt: { type: 'timestamptz', name: 'sent_at', nullable: true },
  },
});

export interface InboxRow {
  readonly consumer: string;
  readonly eventId: string;
  readonly handledAt: Date;
}

export const InboxSchema = new EntitySchema<InboxRow>({
  name: 'inbox',
  columns: {
    consumer: { type: 'text', primary: true },
    eventId: { type: 'text', name: 'event_id', primary: true },
    handledAt: { type: 'timestamptz', name: 'handled_at', createDate: true },
  },
});

/** Where the bus has each event: what it has forgotten is told from what it has. */
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
