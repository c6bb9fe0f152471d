/** Networks of containers: addresses, ports, and those that plugins of CNI make. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Addresses of containers, numbers of tenants, and ports of hosts. Containers that exist get none. */
export class AddNetwork1700000009000 implements MigrationInterface {
  readonly name = 'AddNetwork1700000009000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts ADD COLUMN network boolean NOT NULL DEFAULT false');
    // Addresses from `next` to `last` have no row in `addresses` yet.
    await runner.query(
      `CREATE TABLE address_pool (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), pool cidr NOT NULL,
         pool6 cidr NOT NULL, next inet NOT NULL, last inet NOT NULL)`,
    );
    // A row is updated in place for ever, and the free ones are found at the head of an index: dead rows go early.
    await runner.query(
      `CREATE TABLE addresses (ipv4 inet PRIMARY KEY, container_id text, free_since timestamptz NOT NULL)
         WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)`,
    );
    await runner.query('CREATE INDEX addresses_free ON addresses (free_since, ipv4) WHERE container_id IS NULL');
    await runner.query(
      'CREATE UNIQUE INDEX addresses_container ON addresses (container_id) WHERE container_id IS NOT NULL',
    );
    await runner.query(
      `CREATE TABLE tenant_numbers (tenant text PRIMARY KEY,
         number integer NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 65535))`,
    );
    // Tenant and name are those of the container, for the answer to a request for the same port.
    await runner.query(
      `CREATE TABLE host_ports (host text NOT NULL, protocol text NOT NULL, port integer NOT NULL,
         container_id text NOT NULL, tenant text NOT NULL, name text NOT NULL, ordinal integer NOT NULL,
         container_port integer NOT NULL, host_address text, asked boolean NOT NULL,
         PRIMARY KEY (host, protocol, port))`,
    );
    await runner.query('CREATE INDEX host_ports_port ON host_ports (port, protocol)');
    await runner.query('CREATE INDEX host_ports_container ON host_ports (container_id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE host_ports, tenant_numbers, addresses, address_pool');
    await runner.query('ALTER TABLE hosts DROP COLUMN network');
  }
}

/** Networks that plugins of CNI make: which hosts have one, and the addresses that it gave. */
export class AddCniNetworks1700000014000 implements MigrationInterface {
  readonly name = 'AddCniNetworks1700000014000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE containers ADD COLUMN addresses jsonb');
    await runner.query('ALTER TABLE hosts ADD COLUMN cni_network text');
    // Other hosts learn nothing of its containers.
    await runner.query('DROP TRIGGER neighbour_host_changed ON hosts');
    await runner.query(
      `CREATE TRIGGER neighbour_host_changed AFTER UPDATE OF address, cni_network ON hosts FOR EACH ROW
         WHEN (OLD.address IS DISTINCT FROM NEW.address OR OLD.cni_network IS DISTINCT FROM NEW.cni_network)
         EXECUTE FUNCTION mark_host_neighbours()`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER neighbour_host_changed ON hosts');
    await runner.query(
      `CREATE TRIGGER neighbour_host_changed AFTER UPDATE OF address ON hosts FOR EACH ROW
         WHEN (OLD.address IS DISTINCT FROM NEW.address) EXECUTE FUNCTION mark_host_neighbours()`,
    );
    await runner.query('ALTER TABLE hosts DROP COLUMN cni_network');
    await runner.query('ALTER TABLE containers DROP COLUMN addresses');
  }
}
