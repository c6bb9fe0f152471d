/** Who did what, tokens for programs, and how far the bus was read for the record. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddAudit1700000002000 implements MigrationInterface {
  readonly name = 'AddAudit1700000002000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE console_audit (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        phase text NOT NULL CHECK (phase IN ('asked', 'ended', 'refused')),
        actor text NOT NULL,
        via text NOT NULL,
        address text,
        act text NOT NULL,
        target text,
        tenant text,
        request_id text,
        digest bytea,
        why text,
        outcome text CHECK (outcome IN ('done', 'failed', 'refused')),
        reason text,
        message text
      )`);
    // A request is asked once and ends once, however many copies of the console see it.
    await runner.query(`
      CREATE UNIQUE INDEX console_audit_once ON console_audit (request_id, phase)
        WHERE request_id IS NOT NULL AND phase <> 'refused'`);
    await runner.query('CREATE INDEX console_audit_actor ON console_audit (actor, id)');
    await runner.query('CREATE INDEX console_audit_target ON console_audit (target, id)');
    await runner.query(`
      CREATE FUNCTION console_audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'the record of acts is append-only';
      END $$`);
    await runner.query(`
      CREATE TRIGGER console_audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON console_audit
        FOR EACH STATEMENT EXECUTE FUNCTION console_audit_stays()`);
    await runner.query(`
      CREATE TABLE console_position (
        created text PRIMARY KEY,
        sequence bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
      )`);
    await runner.query(`
      CREATE TABLE console_token (
        id text PRIMARY KEY,
        hash bytea NOT NULL,
        name text NOT NULL,
        owner text NOT NULL REFERENCES console_user (name) ON DELETE CASCADE,
        role text NOT NULL CHECK (role IN ('admin', 'operator', 'viewer', 'developer')),
        tenants text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ends_at timestamptz NOT NULL,
        used_at timestamptz,
        revoked_at timestamptz
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE console_audit, console_position, console_token');
    await runner.query('DROP FUNCTION console_audit_stays()');
  }
}

/** That the bus has a request: one that it never received is found by the absence of it. */
export class AddPublished1700000003000 implements MigrationInterface {
  readonly name = 'AddPublished1700000003000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE console_audit DROP CONSTRAINT console_audit_phase_check');
    await runner.query(`
      ALTER TABLE console_audit ADD CONSTRAINT console_audit_phase_check
        CHECK (phase IN ('asked', 'published', 'ended', 'refused'))`);
    // Of requests from before, the bus's stream is not read again.
    await runner.query(`
      INSERT INTO console_audit (phase, actor, via, act, request_id)
        SELECT 'published', actor, via, act, request_id FROM console_audit WHERE phase = 'asked'`);
    await runner.query("CREATE INDEX console_audit_asked ON console_audit (at) WHERE phase = 'asked'");
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX console_audit_asked');
    await runner.query('ALTER TABLE console_audit DISABLE TRIGGER console_audit_stays');
    await runner.query("DELETE FROM console_audit WHERE phase = 'published'");
    await runner.query('ALTER TABLE console_audit ENABLE TRIGGER console_audit_stays');
    await runner.query('ALTER TABLE console_audit DROP CONSTRAINT console_audit_phase_check');
    await runner.query(`
      ALTER TABLE console_audit ADD CONSTRAINT console_audit_phase_check
        CHECK (phase IN ('asked', 'ended', 'refused'))`);
  }
}
