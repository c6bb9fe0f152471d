/** What the decision on one move of a rebalance looks for. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddOpenMoves1700000024000 implements MigrationInterface {
  readonly name = 'AddOpenMoves1700000024000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE INDEX rebalance_moves_open ON rebalance_moves (rebalance_id, phase, ordinal)
         WHERE phase IN ('pending', 'moving')`,
    );
    // Containers with a rule about a group that need not be their own.
    await runner.query(
      `CREATE INDEX containers_naming_group ON containers (tenant)
         WHERE state <> 'removed' AND coalesce(config->'affinity'->>'group', config->'antiAffinity'->>'group',
           config->'spread'->>'group') IS NOT NULL`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX containers_naming_group');
    await runner.query('DROP INDEX rebalance_moves_open');
  }
}
