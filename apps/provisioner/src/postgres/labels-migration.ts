/** Labels of hosts: what their agents report, and what operators set. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddHostLabels1700000018000 implements MigrationInterface {
  readonly name = 'AddHostLabels1700000018000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE hosts ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
         ADD COLUMN labels_set jsonb NOT NULL DEFAULT '{}'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts DROP COLUMN labels, DROP COLUMN labels_set');
  }
}
