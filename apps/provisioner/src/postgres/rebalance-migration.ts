/** Moves that even out hosts: what was planned, and how far it is carried out. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddRebalances1700000022000 implements MigrationInterface {
  readonly name = 'AddRebalances1700000022000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE rebalances (id text PRIMARY KEY, ordinal bigint GENERATED ALWAYS AS IDENTITY, request_id text NOT NULL,
         correlation_id text NOT NULL, request jsonb NOT NULL, before jsonb NOT NULL, after jsonb NOT NULL,
         state text NOT NULL, message text, failed_in_row integer NOT NULL DEFAULT 0,
         requested_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz)`,
    );
    // One at a time.
    await runner.query('CREATE UNIQUE INDEX rebalances_active ON rebalances ((true)) WHERE ended_at IS NULL');
    await runner.query('CREATE INDEX rebalances_ended ON rebalances (ended_at) WHERE ended_at IS NOT NULL');
    await runner.query('CREATE INDEX rebalances_newest ON rebalances (ordinal)');
    await runner.query(
      `CREATE TABLE rebalance_moves (rebalance_id text NOT NULL REFERENCES rebalances ON DELETE CASCADE,
         ordinal integer NOT NULL, container_id text NOT NULL, move jsonb NOT NULL, phase text NOT NULL, message text,
         begun_at timestamptz, ended_at timestamptz, PRIMARY KEY (rebalance_id, ordinal))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE rebalance_moves');
    await runner.query('DROP TABLE rebalances');
  }
}
