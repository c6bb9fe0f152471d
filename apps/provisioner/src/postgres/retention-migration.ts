/** What is deleted after its time is found without a look at what is kept. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddRetention1700000015000 implements MigrationInterface {
  readonly name = 'AddRetention1700000015000';

  async up(runner: QueryRunner): Promise<void> {
    // Whether the bus may have a status of the container. The time has a column of its own, because an index on one that
    // each report changes would make every report write to all indexes.
    await runner.query(
      'ALTER TABLE containers ADD COLUMN status_kept boolean NOT NULL DEFAULT true, ADD COLUMN removed_at timestamptz',
    );
    await runner.query(`UPDATE containers SET removed_at = changed_at WHERE state = 'removed'`);
    await runner.query(
      'CREATE INDEX containers_removed_status ON containers (removed_at) WHERE removed_at IS NOT NULL AND status_kept',
    );
    await runner.query(
      'CREATE INDEX containers_removed ON containers (removed_at) WHERE removed_at IS NOT NULL AND NOT status_kept',
    );
    await runner.query('CREATE INDEX rollouts_ended ON rollouts (ended_at) WHERE ended_at IS NOT NULL');
    // Also for the reference that is checked when a container is deleted.
    await runner.query('CREATE INDEX rollout_members_container ON rollout_members (container_id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX rollout_members_container');
    await runner.query('DROP INDEX rollouts_ended');
    await runner.query('ALTER TABLE containers DROP COLUMN status_kept, DROP COLUMN removed_at');
  }
}
