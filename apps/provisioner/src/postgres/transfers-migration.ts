/** What hosts and storage nodes are fetching, as their last heartbeats report it. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddTransfers1700000028600 implements MigrationInterface {
  readonly name = 'AddTransfers1700000028600';

  async up(runner: QueryRunner): Promise<void> {
    for (const table of ['hosts', 'storage_nodes'])
      await runner.query(`ALTER TABLE ${table} ADD COLUMN transfers jsonb NOT NULL DEFAULT '[]'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of ['hosts', 'storage_nodes']) await runner.query(`ALTER TABLE ${table} DROP COLUMN transfers`);
  }
}
