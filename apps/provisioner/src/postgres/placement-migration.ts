/** Why a container is on its host. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddPlacement1700000020000 implements MigrationInterface {
  readonly name = 'AddPlacement1700000020000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE containers ADD COLUMN placement jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE containers DROP COLUMN placement');
  }
}
