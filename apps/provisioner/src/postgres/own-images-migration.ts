/** A column by which containers are placed on hosts that fetch images to stores of their own. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `name@version` of what a host's own store holds; null: it has none. */
export class AddOwnImages1700000026000 implements MigrationInterface {
  readonly name = 'AddOwnImages1700000026000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts ADD COLUMN own_images text[]');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts DROP COLUMN own_images');
  }
}
