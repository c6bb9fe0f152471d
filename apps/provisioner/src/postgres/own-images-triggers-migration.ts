/** What hosts hold is compared when it is written, not with each heartbeat and container, and is found by version. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The triggers of AddHostImages that compare it, when one of these columns is written; empty: any. */
async function makeTriggers(runner: QueryRunner, of: { readonly reported: string; readonly served: string }) {
  await runner.query(
    `CREATE OR REPLACE TRIGGER host_images_reported AFTER UPDATE ${of.reported} ON hosts FOR EACH ROW
       WHEN (OLD.own_images IS DISTINCT FROM NEW.own_images) EXECUTE FUNCTION mark_host_images()`,
  );
  await runner.query(
    `CREATE OR REPLACE TRIGGER production_host_changed AFTER UPDATE ${of.served} ON hosts FOR EACH ROW
       WHEN (coalesce(OLD.serves_at, NEW.serves_at) IS NOT NULL AND
         (OLD.serves_at, OLD.state, OLD.datacenter, OLD.own_images) IS DISTINCT FROM
         (NEW.serves_at, NEW.state, NEW.datacenter, NEW.own_images))
       EXECUTE FUNCTION mark_host_peers()`,
  );
}

export class CompareOwnImagesWhenWritten1700000028800 implements MigrationInterface {
  readonly name = 'CompareOwnImagesWhenWritten1700000028800';

  async up(runner: QueryRunner): Promise<void> {
    await makeTriggers(runner, {
      reported: 'OF own_images',
      served: 'OF serves_at, state, datacenter, own_images',
    });
    // Who serves a version is found without a look at what every host holds.
    await runner.query('CREATE INDEX hosts_serving ON hosts USING gin (own_images) WHERE serves_at IS NOT NULL');
    // A heartbeat writes the row again: names that fill more than a few are kept beside it.
    await runner.query('ALTER TABLE hosts SET (toast_tuple_target = 1024)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX hosts_serving');
    await runner.query('ALTER TABLE hosts RESET (toast_tuple_target)');
    await makeTriggers(runner, { reported: '', served: '' });
  }
}
