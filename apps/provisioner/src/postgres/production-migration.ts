/** What is in production, as storage nodes and hosts are sent it, and by what it changes. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Changes are marked by triggers, in the transaction of the change, by every statement that changes a version, who holds
 * it, or a node that serves.
 */
export class AddProduction1700000025000 implements MigrationInterface {
  readonly name = 'AddProduction1700000025000';

  async up(runner: QueryRunner): Promise<void> {
    // `promotion`: null while no promotion was received since this column is there.
    await runner.query('ALTER TABLE image_versions ADD COLUMN promotion jsonb');
    // Digest of what was sent last.
    await runner.query(
      `CREATE TABLE production_sent (name text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL,
         digest text NOT NULL, PRIMARY KEY (name, version))`,
    );
    await runner.query('ALTER TABLE storage_nodes ADD COLUMN serves_at text');
    // Rows are only added and deleted: transactions that change the same version do not wait for each other.
    await runner.query(
      `CREATE TABLE production_changes (ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         name text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL, due timestamptz NOT NULL)
         WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
    );
    await runner.query('CREATE INDEX production_changes_image ON production_changes (name, version)');
    await runner.query(
      `CREATE FUNCTION mark_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO production_changes (name, version, due) VALUES (NEW.name, NEW.version, now());
         RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER production_made AFTER INSERT ON image_versions FOR EACH ROW
         WHEN (NEW.state IN ('promoted', 'revoked', 'retired')) EXECUTE FUNCTION mark_version()`,
    );
    await runner.query(
      `CREATE TRIGGER production_changed AFTER UPDATE ON image_versions FOR EACH ROW
         WHEN (NEW.state IN ('promoted', 'revoked', 'retired') AND
           (OLD.state, OLD.promotion, OLD.content_digest) IS DISTINCT FROM (NEW.state, NEW.promotion, NEW.content_digest))
         EXECUTE FUNCTION mark_version()`,
    );
    // Who has it may wait a moment: while a version is distributed, many nodes report within a second.
    await runner.query(
      `CREATE FUNCTION mark_master() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO production_changes (name, version, due)
           VALUES (coalesce(NEW.name, OLD.name), coalesce(NEW.version, OLD.version), now() + interval '1 second');
         RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER production_master AFTER INSERT OR DELETE OR UPDATE OF content_digest ON masters FOR EACH ROW
         EXECUTE FUNCTION mark_master()`,
    );
    await runner.query(
      `CREATE FUNCTION mark_storage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO production_changes (name, version, due)
           SELECT name, version, now() + interval '1 second' FROM image_versions WHERE state = 'promoted';
         RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER production_storage_made AFTER INSERT ON storage_nodes FOR EACH ROW
         WHEN (NEW.serves_at IS NOT NULL) EXECUTE FUNCTION mark_storage()`,
    );
    await runner.query(
      `CREATE TRIGGER production_storage_changed AFTER UPDATE ON storage_nodes FOR EACH ROW
         WHEN (coalesce(OLD.serves_at, NEW.serves_at) IS NOT NULL AND
           (OLD.serves_at, OLD.state, OLD.datacenter, OLD.labels) IS DISTINCT FROM
           (NEW.serves_at, NEW.state, NEW.datacenter, NEW.labels))
         EXECUTE FUNCTION mark_storage()`,
    );
    await runner.query(
      `INSERT INTO production_changes (name, version, due)
         SELECT name, version, now() FROM image_versions WHERE state IN ('promoted', 'revoked', 'retired')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER production_storage_changed ON storage_nodes');
    await runner.query('DROP TRIGGER production_storage_made ON storage_nodes');
    await runner.query('DROP TRIGGER production_master ON masters');
    await runner.query('DROP TRIGGER production_changed ON image_versions');
    await runner.query('DROP TRIGGER production_made ON image_versions');
    await runner.query('DROP FUNCTION mark_storage(), mark_master(), mark_version()');
    await runner.query('DROP TABLE production_changes, production_sent');
    await runner.query('ALTER TABLE storage_nodes DROP COLUMN serves_at');
    await runner.query('ALTER TABLE image_versions DROP COLUMN promotion');
  }
}
