/** The catalogue's tables: every version ever assigned, and the last number of each name. */
import { EntitySchema, type MigrationInterface, type QueryRunner } from 'typeorm';
import type { ImagePackage } from '@plinth/contracts';
import type { ImageBuild } from '../../domain/image-build.js';

export interface ImageBuildRow extends ImageBuild {
  /** Service id of the copy that works on it. */
  readonly owner: string | null;
  readonly leaseUntil: Date | null;
  readonly requestedAt: Date;
  /** null: built before they were recorded. */
  readonly packages?: readonly ImagePackage[] | null;
}

export const ImageBuildSchema = new EntitySchema<ImageBuildRow>({
  name: 'image_build',
  columns: {
    buildId: { type: 'text', primary: true, name: 'build_id' },
    name: { type: 'text' },
    number: { type: 'integer' },
    state: { type: 'text' },
    requestId: { type: 'text', name: 'request_id' },
    correlationId: { type: 'text', name: 'correlation_id' },
    recipe: { type: 'text' },
    recipeDigest: { type: 'text', name: 'recipe_digest' },
    owner: { type: 'text', nullable: true },
    leaseUntil: { type: 'timestamptz', name: 'lease_until', nullable: true },
    epoch: { type: 'integer', default: 0 },
    attempts: { type: 'integer', default: 0 },
    requestedAt: { type: 'timestamptz', name: 'requested_at', createDate: true },
    startedAt: { type: 'timestamptz', name: 'started_at', nullable: true },
    builtAt: { type: 'timestamptz', name: 'built_at', nullable: true },
    durationMs: { type: 'integer', name: 'duration_ms', nullable: true },
    parent: { type: 'text', nullable: true },
    statement: { type: 'jsonb', nullable: true },
    manifest: { type: 'jsonb', nullable: true },
    // Long, and selected only where it is needed.
    packages: { type: 'jsonb', nullable: true, select: false },
    tests: { type: 'jsonb', default: [] },
    promotion: { type: 'jsonb', nullable: true },
    revokedReason: { type: 'text', name: 'revoked_reason', nullable: true },
    logTail: { type: 'text', name: 'log_tail', nullable: true },
  },
});

export class CreateImageBuild1700000001000 implements MigrationInterface {
  readonly name = 'CreateImageBuild1700000001000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'CREATE TABLE image_name (name text PRIMARY KEY, last_number integer NOT NULL CHECK (last_number > 0))',
    );
    await runner.query(`
      CREATE TABLE image_build (
        build_id text PRIMARY KEY,
        name text NOT NULL REFERENCES image_name (name),
        number integer NOT NULL CHECK (number > 0),
        state text NOT NULL,
        request_id text NOT NULL UNIQUE,
        correlation_id text NOT NULL,
        recipe text NOT NULL,
        recipe_digest text NOT NULL,
        owner text,
        lease_until timestamptz,
        epoch integer NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at timestamptz,
        built_at timestamptz,
        duration_ms integer,
        parent text,
        statement jsonb,
        manifest jsonb,
        tests jsonb NOT NULL DEFAULT '[]',
        promotion jsonb,
        revoked_reason text,
        log_tail text,
        UNIQUE (name, number)
      )`);
    await runner.query(
      `CREATE INDEX image_build_active ON image_build (requested_at)
         WHERE state IN ('queued', 'building', 'built', 'promoting')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE image_build, image_name');
  }
}

export class AddPackages1700000002000 implements MigrationInterface {
  readonly name = 'AddPackages1700000002000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE image_build ADD COLUMN packages jsonb');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE image_build DROP COLUMN packages');
  }
}

/** Steps of an upgrade that are taken once by whichever copy of the service is first. */
export class AddUpgradeSteps1700000003000 implements MigrationInterface {
  readonly name = 'AddUpgradeSteps1700000003000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE upgrade_step (step text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE upgrade_step');
  }
}
