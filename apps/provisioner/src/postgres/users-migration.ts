/** Columns by which containers are placed where they get the users that they should have. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Whose users containers have on a host; null: an agent that does not report it. */
export class AddUsers1700000013500 implements MigrationInterface {
  readonly name = 'AddUsers1700000013500';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts ADD COLUMN own_users text[], ADD COLUMN host_users text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts DROP COLUMN own_users, DROP COLUMN host_users');
  }
}
