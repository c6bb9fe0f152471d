/** What the stores of hosts are to hold besides what their containers need, and by what it changes. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddHostImages1700000027000 implements MigrationInterface {
  readonly name = 'AddHostImages1700000027000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts ADD COLUMN serves_at text');
    // `kind`: prefetch, pin or evict. One of them for each version on a host, the last that was asked for.
    await runner.query(
      `CREATE TABLE host_image_wishes (host text COLLATE "C" NOT NULL, image text COLLATE "C" NOT NULL,
         kind text NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (host, image))`,
    );
    await runner.query('CREATE INDEX host_image_wishes_image ON host_image_wishes (image)');
    // Digest of what the host was sent last.
    await runner.query('CREATE TABLE host_images_sent (host text COLLATE "C" PRIMARY KEY, digest text NOT NULL)');
    await runner.query(
      `CREATE TABLE host_image_changes (ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         host text COLLATE "C" NOT NULL) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
    );
    await runner.query('CREATE INDEX host_image_changes_host ON host_image_changes (host)');
    await this.markOneHost(runner);
    await this.markAllHosts(runner);
    await runner.query(
      `CREATE FUNCTION mark_host_peers() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO production_changes (name, version, due)
           SELECT split_part(i.image, '@', 1), split_part(i.image, '@', 2), now() + interval '1 second'
             FROM (SELECT unnest(coalesce(OLD.own_images, '{}') || coalesce(NEW.own_images, '{}')) AS image) i
            GROUP BY i.image HAVING count(*) = 1 OR
              (OLD.serves_at, OLD.state, OLD.datacenter) IS DISTINCT FROM (NEW.serves_at, NEW.state, NEW.datacenter);
         RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER production_host_joined AFTER INSERT ON hosts FOR EACH ROW WHEN (NEW.serves_at IS NOT NULL)
         EXECUTE FUNCTION mark_host_peers()`,
    );
    await runner.query(
      `CREATE TRIGGER production_host_changed AFTER UPDATE ON hosts FOR EACH ROW
         WHEN (coalesce(OLD.serves_at, NEW.serves_at) IS NOT NULL AND
           (OLD.serves_at, OLD.state, OLD.datacenter, OLD.own_images) IS DISTINCT FROM
           (NEW.serves_at, NEW.state, NEW.datacenter, NEW.own_images))
         EXECUTE FUNCTION mark_host_peers()`,
    );
  }

  private async markOneHost(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE FUNCTION mark_host_images() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO host_image_changes (host) VALUES (coalesce(NEW.host, OLD.host)); RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER host_images_wished AFTER INSERT OR UPDATE OR DELETE ON host_image_wishes FOR EACH ROW
         EXECUTE FUNCTION mark_host_images()`,
    );
    await runner.query(
      `CREATE TRIGGER host_images_joined AFTER INSERT ON hosts FOR EACH ROW WHEN (NEW.own_images IS NOT NULL)
         EXECUTE FUNCTION mark_host_images()`,
    );
    await runner.query(
      `CREATE TRIGGER host_images_reported AFTER UPDATE ON hosts FOR EACH ROW
         WHEN (OLD.own_images IS DISTINCT FROM NEW.own_images) EXECUTE FUNCTION mark_host_images()`,
    );
    await runner.query(
      `CREATE FUNCTION mark_hosts_of_image() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO host_image_changes (host)
           SELECT host FROM host_image_wishes WHERE image = NEW.name || '@' || NEW.version; RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER host_images_ended AFTER UPDATE ON image_versions FOR EACH ROW
         WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION mark_hosts_of_image()`,
    );
  }

  /** The default and rollouts are wished of many: each host is looked at, and is sent only what differs. */
  private async markAllHosts(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE FUNCTION mark_all_host_images() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO host_image_changes (host) SELECT host FROM hosts WHERE own_images IS NOT NULL; RETURN NULL; END $$`,
    );
    for (const [table, what] of [
      ['image_defaults', 'INSERT OR UPDATE'],
      ['default_os', 'INSERT OR UPDATE'],
      ['rollouts', 'INSERT OR UPDATE OF ended_at'],
    ])
      await runner.query(
        `CREATE TRIGGER host_images_${table} AFTER ${what} ON ${table} FOR EACH STATEMENT
           EXECUTE FUNCTION mark_all_host_images()`,
      );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER production_host_changed ON hosts');
    await runner.query('DROP TRIGGER production_host_joined ON hosts');
    for (const table of ['rollouts', 'default_os', 'image_defaults'])
      await runner.query(`DROP TRIGGER host_images_${table} ON ${table}`);
    await runner.query('DROP TRIGGER host_images_ended ON image_versions');
    await runner.query('DROP TRIGGER host_images_reported ON hosts');
    await runner.query('DROP TRIGGER host_images_joined ON hosts');
    await runner.query('DROP TABLE host_image_wishes, host_images_sent, host_image_changes');
    await runner.query(
      'DROP FUNCTION mark_host_peers(), mark_all_host_images(), mark_hosts_of_image(), mark_host_images()',
    );
    await runner.query('ALTER TABLE hosts DROP COLUMN serves_at');
  }
}
