/** The provisioner's tables. */
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { AddBatchIndexes1700000021200, AddCounts1700000021000, FillCounts1700000021100 } from './counts-migration.js';
import { AddGroups1700000019000 } from './groups-migration.js';
import { AddHostLabels1700000018000 } from './labels-migration.js';
import { AddLists1700000016000 } from './lists-migration.js';
import { AddMissingLimits1700000028900 } from './missing-limits-migration.js';
import { AddNeighbours1700000011000 } from './neighbour-migration.js';
import { AddCniNetworks1700000014000, AddNetwork1700000009000 } from './network-migrations.js';
import { AddPlacement1700000020000 } from './placement-migration.js';
import { AddReports1700000023000 } from './heartbeats-migration.js';
import { AddOpenMoves1700000024000 } from './open-moves-migration.js';
import { AddHostImageFailures1700000028500 } from './host-image-failures-migration.js';
import { AddHostImages1700000027000 } from './host-images-migration.js';
import { CompareOwnImagesWhenWritten1700000028800 } from './own-images-triggers-migration.js';
import { AddOwnImages1700000026000 } from './own-images-migration.js';
import { AddProduction1700000025000 } from './production-migration.js';
import { AddRebalances1700000022000 } from './rebalance-migration.js';
import { AddRetention1700000015000 } from './retention-migration.js';
import { AddTenantEgress1700000017000 } from './tenant-egress-migration.js';
import { AddPinRules1700000028700 } from './pin-rules-migration.js';
import { AddTransfers1700000028600 } from './transfers-migration.js';
import { AddUsers1700000013500 } from './users-migration.js';

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
    await runner.query(
      'CREATE TABLE default_os (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), name text NOT NULL)',
    );
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
    await runner.query(
      'DROP TABLE container_history, containers, default_os, image_defaults, masters, image_versions, storage_nodes, hosts',
    );
  }
}

/** Updates of containers, and rollouts. */
export class AddRollouts1700000002000 implements MigrationInterface {
  readonly name = 'AddRollouts1700000002000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE containers ADD COLUMN known_good text[] NOT NULL DEFAULT '{}', ADD COLUMN update jsonb`,
    );
    await runner.query(
      `CREATE INDEX containers_in_hand ON containers (host) WHERE update->>'state' IN ('switching', 'reverting')`,
    );
    await runner.query(`CREATE INDEX containers_image ON containers ((config->>'image')) WHERE state <> 'removed'`);
    await runner.query(`
      CREATE TABLE rollouts (
        id text PRIMARY KEY,
        ordinal bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        request_id text NOT NULL UNIQUE,
        request jsonb NOT NULL,
        correlation_id text NOT NULL,
        target text NOT NULL,
        state text NOT NULL,
        paused_because text,
        approved_batches integer NOT NULL DEFAULT 0,
        forgiven_failures integer NOT NULL DEFAULT 0,
        finished_batch integer NOT NULL DEFAULT -1,
        wait jsonb,
        requested_at timestamptz NOT NULL DEFAULT now(),
        changed_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz
      )`);
    await runner.query('CREATE INDEX rollouts_active ON rollouts (ordinal) WHERE ended_at IS NULL');
    await runner.query(`
      CREATE TABLE rollout_members (
        rollout_id text NOT NULL REFERENCES rollouts (id),
        ordinal integer NOT NULL,
        container_id text NOT NULL REFERENCES containers (id),
        from_image text NOT NULL,
        to_image text NOT NULL,
        phase text NOT NULL,
        batch integer,
        update_id text UNIQUE,
        restore_generation integer,
        reason text,
        message text,
        changed_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (rollout_id, ordinal),
        UNIQUE (rollout_id, container_id)
      )`);
    await runner.query(
      `CREATE INDEX rollout_members_restoring ON rollout_members (container_id)
         WHERE phase IN ('switching', 'restoring')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE rollout_members, rollouts');
    await runner.query('ALTER TABLE containers DROP COLUMN known_good, DROP COLUMN update');
  }
}

/**
 * Input of retirement: the image on which a container runs by its host's last report, and when a retirement was last
 * published.
 */
export class AddRetirement1700000003000 implements MigrationInterface {
  readonly name = 'AddRetirement1700000003000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE containers ADD COLUMN running_image text');
    await runner.query(`UPDATE containers SET running_image = config->>'image' WHERE state <> 'removed'`);
    await runner.query('ALTER TABLE image_versions ADD COLUMN retirement_told_at timestamptz');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE image_versions DROP COLUMN retirement_told_at');
    await runner.query('ALTER TABLE containers DROP COLUMN running_image');
  }
}

/** Hosts that are cordoned, drained or lost for good, and the containers that are moved off them. */
export class AddMoves1700000004000 implements MigrationInterface {
  readonly name = 'AddMoves1700000004000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE hosts ADD COLUMN beats bigint NOT NULL DEFAULT 0,
         ADD COLUMN cordoned boolean NOT NULL DEFAULT false, ADD COLUMN drain jsonb`,
    );
    await runner.query('ALTER TABLE containers ADD COLUMN moving jsonb');
    await runner.query('CREATE INDEX containers_moving ON containers (host) WHERE moving IS NOT NULL');
    await runner.query(`
      CREATE TABLE leases (
        node text NOT NULL,
        host text NOT NULL,
        renewal text NOT NULL,
        ttl_seconds integer NOT NULL,
        unrenewed_ms bigint NOT NULL,
        PRIMARY KEY (node, host)
      )`);
    // Containers that a lost host has to release when it comes back, until it reports that it did.
    await runner.query(
      `CREATE TABLE given_up (host text NOT NULL, container_id text NOT NULL, config jsonb NOT NULL,
         PRIMARY KEY (host, container_id))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE given_up, leases');
    await runner.query('ALTER TABLE containers DROP COLUMN moving');
    await runner.query('ALTER TABLE hosts DROP COLUMN beats, DROP COLUMN cordoned, DROP COLUMN drain');
  }
}

/** Requests that wait for their decision. */
export class AddIntake1700000005000 implements MigrationInterface {
  readonly name = 'AddIntake1700000005000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE intake (
        ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant text COLLATE "C" NOT NULL,
        event jsonb NOT NULL,
        failures integer NOT NULL DEFAULT 0,
        not_before timestamptz NOT NULL DEFAULT now()
      ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`);
    await runner.query('CREATE INDEX intake_turns ON intake (tenant, ordinal)');
    await runner.query(`CREATE INDEX intake_ids ON intake ((event->>'id'))`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE intake');
  }
}

/** Sizes of the tenants' data volumes, as the storage nodes measured them last. */
export class AddTenantDisk1700000006000 implements MigrationInterface {
  readonly name = 'AddTenantDisk1700000006000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE tenant_disk (tenant text NOT NULL, node text NOT NULL, bytes bigint NOT NULL,
         PRIMARY KEY (tenant, node))`,
    );
    await runner.query('CREATE INDEX tenant_disk_node ON tenant_disk (node)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE tenant_disk');
  }
}

/** Storage nodes are lost and come back, as hosts do. */
export class AddStorageState1700000007500 implements MigrationInterface {
  readonly name = 'AddStorageState1700000007500';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE storage_nodes ADD COLUMN state text NOT NULL DEFAULT 'ready',
         ADD COLUMN beats bigint NOT NULL DEFAULT 0`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE storage_nodes DROP COLUMN state, DROP COLUMN beats');
  }
}

/** The health of containers that hosts report. */
export class AddHealth1700000008000 implements MigrationInterface {
  readonly name = 'AddHealth1700000008000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      "ALTER TABLE containers ADD COLUMN health text, ADD COLUMN failed_checks jsonb NOT NULL DEFAULT '[]'",
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE containers DROP COLUMN health, DROP COLUMN failed_checks');
  }
}

/** The limits that containers have reached, and what hosts can limit. */
export class AddLimits1700000012000 implements MigrationInterface {
  readonly name = 'AddLimits1700000012000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query("ALTER TABLE containers ADD COLUMN limits_reached jsonb NOT NULL DEFAULT '[]'");
    await runner.query(
      `ALTER TABLE hosts ADD COLUMN disk_limits text[] NOT NULL DEFAULT '{}',
         ADD COLUMN io_limits text[] NOT NULL DEFAULT '{}'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE hosts DROP COLUMN disk_limits, DROP COLUMN io_limits');
    await runner.query('ALTER TABLE containers DROP COLUMN limits_reached');
  }
}

/** Changes of containers that their hosts have not reported yet. */
export class AddChanges1700000013000 implements MigrationInterface {
  readonly name = 'AddChanges1700000013000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE container_changes (container_id text NOT NULL, generation integer NOT NULL,
         request_id text NOT NULL, parts text[] NOT NULL, PRIMARY KEY (container_id, generation))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE container_changes');
  }
}

/** In the order in which they are made. */
export const PROVISIONER_MIGRATIONS = [
  CreateProvisionerTables1700000001000,
  AddRollouts1700000002000,
  AddRetirement1700000003000,
  AddMoves1700000004000,
  AddIntake1700000005000,
  AddTenantDisk1700000006000,
  AddStorageState1700000007500,
  AddHealth1700000008000,
  AddNetwork1700000009000,
  AddNeighbours1700000011000,
  AddLimits1700000012000,
  AddChanges1700000013000,
  AddUsers1700000013500,
  AddCniNetworks1700000014000,
  AddRetention1700000015000,
  AddLists1700000016000,
  AddTenantEgress1700000017000,
  AddHostLabels1700000018000,
  AddGroups1700000019000,
  AddPlacement1700000020000,
  AddCounts1700000021000,
  FillCounts1700000021100,
  AddBatchIndexes1700000021200,
  AddRebalances1700000022000,
  AddReports1700000023000,
  AddOpenMoves1700000024000,
  AddProduction1700000025000,
  AddOwnImages1700000026000,
  AddHostImages1700000027000,
  AddHostImageFailures1700000028500,
  AddTransfers1700000028600,
  AddPinRules1700000028700,
  CompareOwnImagesWhenWritten1700000028800,
  AddMissingLimits1700000028900,
];
