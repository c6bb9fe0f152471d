/** The provisioner's tables. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateProvisionerTables1700000001000 implements MigrationInterface {
  readonly name = 'CreateProvisionerTables1700000001000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE hosts (
        host text PRIMARY KEY,
        state text NOT NULL,
        datacenter text NOT NULL,
        storage_nodes text[] NOT NULL,
        incarnation text NOT NULL,
        capacity_memory bigint NOT NULL,
        capacity_cpus double precision NOT NULL,
        capacity_containers integer NOT NULL,
        cores double precision NOT NULL,
        allocated_memory bigint NOT NULL DEFAULT 0,
        allocated_cpus double precision NOT NULL DEFAULT 0,
        allocated_containers integer NOT NULL DEFAULT 0,
        load1 double precision NOT NULL,
        memory_used bigint NOT NULL,
        running integer NOT NULL,
        runtime text NOT NULL,
        last_seen_at timestamptz NOT NULL
      )`);
    await runner.query(`
      CREATE TABLE storage_nodes (
        node text PRIMARY KEY,
        datacenter text NOT NULL,
        labels jsonb NOT NULL,
        total_bytes bigint NOT NULL,
        free_bytes bigint NOT NULL,
        last_seen_at timestamptz NOT NULL
      )`);
    await runner.query(`
      CREATE TABLE image_versions (
        name text NOT NULL,
        version text NOT NULL,
        number integer NOT NULL,
        state text NOT NULL,
        rank integer NOT NULL,
        content_digest text,
        archive_bytes bigint,
        unpacked_bytes bigint,
        parent text,
        message text,
        at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (name, version)
      )`);
    await runner.query(`
      CREATE TABLE masters (
        name text NOT NULL,
        version text NOT NULL,
        node text NOT NULL,
        content_digest text NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (name, version, node)
      )`);
    await runner.query('CREATE TABLE image_defaults (name text PRIMARY KEY, version text NOT NULL)');
    // One row at the most.
    await runner.query('CREATE TABLE default_os (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), name text NOT NULL)');
    await runner.query(`
      CREATE TABLE containers (
        id text PRIMARY KEY,
        ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        tenant text NOT NULL,
        name text NOT NULL,
        request_id text NOT NULL UNIQUE,
        request_digest text NOT NULL,
        state text NOT NULL,
        state_before_lost text,
        host text NOT NULL,
        memory_bytes bigint NOT NULL,
        cpus double precision NOT NULL,
        config jsonb NOT NULL,
        pid integer,
        restarts integer NOT NULL DEFAULT 0,
        exit_code integer,
        message text,
        report_sequence bigint NOT NULL DEFAULT 0,
        requested_at timestamptz NOT NULL,
        started_at timestamptz,
        changed_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(`CREATE UNIQUE INDEX containers_name ON containers (tenant, name) WHERE state <> 'removed'`);
    await runner.query('CREATE INDEX containers_host ON containers (host)');
    await runner.query(`
      CREATE TABLE container_history (
        container_id text NOT NULL REFERENCES containers (id),
        ordinal bigint GENERATED ALWAYS AS IDENTITY,
        at timestamptz NOT NULL,
        kind text NOT NULL,
        generation integer NOT NULL,
        message text,
        PRIMARY KEY (container_id, ordinal)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE container_history, containers, default_os, image_defaults, masters, image_versions, storage_nodes, hosts');
  }
}
