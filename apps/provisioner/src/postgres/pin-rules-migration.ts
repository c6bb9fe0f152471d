/** Pins by labels, which hosts get that join, or get the labels, after they were asked for. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Held shared while a host gets its pins, alone while a rule is made: neither misses the other. */
export const PIN_RULES_LOCK = 7_406;

export class AddPinRules1700000028700 implements MigrationInterface {
  readonly name = 'AddPinRules1700000028700';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE image_pin_rules (image text COLLATE "C" NOT NULL, labels jsonb NOT NULL,
         at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (image, labels))`,
    );
    await runner.query(
      `CREATE FUNCTION host_labels(h hosts) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
         SELECT h.labels || h.labels_set || jsonb_build_object('host', h.host, 'datacenter', h.datacenter) $$`,
    );
    // Only rules that the host comes under now: what was unpinned on it stays so.
    await runner.query(
      `CREATE FUNCTION pin_by_rules() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         PERFORM pg_advisory_xact_lock_shared(${PIN_RULES_LOCK});
         INSERT INTO host_image_wishes (host, image, kind)
           SELECT NEW.host, r.image, 'pin' FROM image_pin_rules r
            WHERE host_labels(NEW) @> r.labels
              AND (TG_OP = 'INSERT' OR OLD.own_images IS NULL OR NOT host_labels(OLD) @> r.labels)
            ORDER BY r.image
         ON CONFLICT (host, image) DO UPDATE SET kind = 'pin', at = now() WHERE host_image_wishes.kind = 'prefetch';
         RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER host_pins_joined AFTER INSERT ON hosts FOR EACH ROW WHEN (NEW.own_images IS NOT NULL)
         EXECUTE FUNCTION pin_by_rules()`,
    );
    await runner.query(
      `CREATE TRIGGER host_pins_changed AFTER UPDATE ON hosts FOR EACH ROW
         WHEN (NEW.own_images IS NOT NULL AND (OLD.own_images IS NULL OR
           (OLD.labels, OLD.labels_set, OLD.datacenter) IS DISTINCT FROM (NEW.labels, NEW.labels_set, NEW.datacenter)))
         EXECUTE FUNCTION pin_by_rules()`,
    );
    await runner.query(
      `CREATE FUNCTION end_pin_rules() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         DELETE FROM image_pin_rules WHERE image = NEW.name || '@' || NEW.version; RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER pin_rules_ended AFTER UPDATE ON image_versions FOR EACH ROW
         WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.state IN ('retired', 'revoked'))
         EXECUTE FUNCTION end_pin_rules()`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER pin_rules_ended ON image_versions');
    await runner.query('DROP TRIGGER host_pins_changed ON hosts');
    await runner.query('DROP TRIGGER host_pins_joined ON hosts');
    await runner.query('DROP FUNCTION end_pin_rules(), pin_by_rules(), host_labels(hosts)');
    await runner.query('DROP TABLE image_pin_rules');
  }
}
