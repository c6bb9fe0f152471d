/** Why a container is on its host, and which hosts an image is for. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddPlacement1700000020000 implements MigrationInterface {
  readonly name = 'AddPlacement1700000020000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE containers ADD COLUMN placement json');
    await runner.query('ALTER TABLE image_versions ADD COLUMN architecture text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE containers DROP COLUMN placement');
    await runner.query('ALTER TABLE image_versions DROP COLUMN architecture');
  }
}
