/** The column by which no container is placed where a limit that it asks for can't be held. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddMissingLimits1700000028900 implements MigrationInterface {
  readonly name = 'AddMissingLimits1700000028900';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE hosts ADD COLUMN missing_limits text[] NOT NULL DEFAULT '{}'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts DROP COLUMN missing_limits');
  }
}
