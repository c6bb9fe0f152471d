/** Hosts are written every few seconds, thousands of them. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddReports1700000023000 implements MigrationInterface {
  readonly name = 'AddReports1700000023000';

  async up(runner: QueryRunner): Promise<void> {
    // Counts what a host has reported beside its load: heartbeats that repeat it are not compared with the row again.
    await runner.query('ALTER TABLE hosts ADD COLUMN report bigint NOT NULL DEFAULT 0');
    // The next version of a row finds room in the page of the last, and no index has to be written.
    await runner.query('ALTER TABLE hosts SET (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.1)');
    await runner.query('CREATE INDEX hosts_drained ON hosts (host) WHERE drain IS NOT NULL');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX hosts_drained');
    await runner.query('ALTER TABLE hosts RESET (fillfactor, autovacuum_vacuum_scale_factor)');
    await runner.query('ALTER TABLE hosts DROP COLUMN report');
  }
}
