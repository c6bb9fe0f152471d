/** Tables and columns for what containers of a tenant may reach. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddTenantEgress1700000017000 implements MigrationInterface {
  readonly name = 'AddTenantEgress1700000017000';

  async up(runner: QueryRunner): Promise<void> {
    // `is_sent`: each host that serves the tenant has been sent this revision.
    await runner.query(
      `CREATE TABLE tenant_egress (tenant text COLLATE "C" PRIMARY KEY, revision bigint NOT NULL,
         policy jsonb NOT NULL, is_sent boolean NOT NULL DEFAULT false, changed_at timestamptz NOT NULL DEFAULT now())`,
    );
    await runner.query('CREATE INDEX tenant_egress_unsent ON tenant_egress (tenant) WHERE NOT is_sent');
    // The last revision that the host was sent.
    await runner.query('ALTER TABLE neighbour_hosts ADD COLUMN egress_revision bigint NOT NULL DEFAULT 0');
    await runner.query('ALTER TABLE hosts ADD COLUMN tenant_policies jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts DROP COLUMN tenant_policies');
    await runner.query('ALTER TABLE neighbour_hosts DROP COLUMN egress_revision');
    await runner.query('DROP TABLE tenant_egress');
  }
}
