/** Containers of a group are found without a look at all. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddGroups1700000019000 implements MigrationInterface {
  readonly name = 'AddGroups1700000019000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE INDEX containers_of_group ON containers (tenant, (config->>'group'))
         WHERE config->>'group' IS NOT NULL AND state <> 'removed'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX containers_of_group');
  }
}
