/** Tables, triggers and indexes by which hosts learn of containers on other hosts. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What hosts have to know of the containers of the tenants that they serve: changes are marked by triggers, in the
 * transaction of the change, by every statement that changes a container.
 */
export class AddNeighbours1700000011000 implements MigrationInterface {
  readonly name = 'AddNeighbours1700000011000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts ADD COLUMN address text');
    // Rows are only added and deleted: transactions that change containers of one tenant do not wait for each other.
    await runner.query(
      `CREATE TABLE neighbour_changes (ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         tenant text COLLATE "C" NOT NULL, shard smallint NOT NULL)
         WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
    );
    await runner.query('CREATE INDEX neighbour_changes_tenant ON neighbour_changes (tenant)');
    // Hosts that were sent the containers of a tenant. `ended`: no longer, but the bus still has values.
    await runner.query(
      `CREATE TABLE neighbour_hosts (tenant text COLLATE "C" NOT NULL, host text NOT NULL,
         ended boolean NOT NULL DEFAULT false, PRIMARY KEY (tenant, host))`,
    );
    await runner.query('CREATE INDEX neighbour_hosts_ended ON neighbour_hosts (tenant) WHERE ended');
    await runner.query(
      `CREATE FUNCTION neighbour_shard(id text) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
         $$ SELECT (get_byte(decode(right(id, 2), 'hex'), 0) % 64)::smallint $$`,
    );
    // A container keeps its name over a restart or an update; it loses it when it is stopped, has failed or is lost.
    await runner.query(
      `CREATE FUNCTION neighbour_runs(state text, config jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
         $$ SELECT state IN ('starting', 'running', 'stopping') AND config->>'desired' = 'running' $$`,
    );
    await runner.query(
      `CREATE INDEX containers_neighbours ON containers (tenant, neighbour_shard(id))
         WHERE state <> 'removed' AND config ? 'address'`,
    );
    await runner.query(
      `CREATE INDEX containers_tenant_hosts ON containers (tenant, host)
         WHERE state <> 'removed' AND config ? 'address'`,
    );
    await runner.query(
      `CREATE FUNCTION mark_neighbour() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO neighbour_changes (tenant, shard) VALUES (NEW.tenant, neighbour_shard(NEW.id)); RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER neighbour_made AFTER INSERT ON containers FOR EACH ROW WHEN (NEW.config ? 'address')
         EXECUTE FUNCTION mark_neighbour()`,
    );
    await runner.query(
      `CREATE TRIGGER neighbour_changed AFTER UPDATE ON containers FOR EACH ROW
         WHEN (NEW.config ? 'address' AND
           (OLD.host, OLD.state = 'removed', neighbour_runs(OLD.state, OLD.config)) IS DISTINCT FROM
           (NEW.host, NEW.state = 'removed', neighbour_runs(NEW.state, NEW.config)))
         EXECUTE FUNCTION mark_neighbour()`,
    );
    await runner.query(
      `CREATE FUNCTION mark_host_neighbours() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO neighbour_changes (tenant, shard)
           SELECT DISTINCT tenant, neighbour_shard(id) FROM containers
            WHERE host = NEW.host AND state <> 'removed' AND config ? 'address'; RETURN NULL; END $$`,
    );
    await runner.query(
      `CREATE TRIGGER neighbour_host_changed AFTER UPDATE OF address ON hosts FOR EACH ROW
         WHEN (OLD.address IS DISTINCT FROM NEW.address) EXECUTE FUNCTION mark_host_neighbours()`,
    );
    await runner.query(
      `INSERT INTO neighbour_changes (tenant, shard) SELECT DISTINCT tenant, neighbour_shard(id) FROM containers
         WHERE state <> 'removed' AND config ? 'address'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER neighbour_host_changed ON hosts');
    await runner.query('DROP TRIGGER neighbour_changed ON containers');
    await runner.query('DROP TRIGGER neighbour_made ON containers');
    await runner.query('DROP INDEX containers_tenant_hosts, containers_neighbours');
    await runner.query('DROP FUNCTION mark_host_neighbours(), mark_neighbour(), neighbour_runs(text, jsonb)');
    await runner.query('DROP FUNCTION neighbour_shard(text)');
    await runner.query('DROP TABLE neighbour_hosts, neighbour_changes');
    await runner.query('ALTER TABLE hosts DROP COLUMN address');
  }
}
