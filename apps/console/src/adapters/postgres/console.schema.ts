/** The console's own tables: people, their sessions, used links, failed sign-ins, and the record of sign-ins. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateConsole1700000001000 implements MigrationInterface {
  readonly name = 'CreateConsole1700000001000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE console_user (
        name text PRIMARY KEY,
        role text NOT NULL CHECK (role IN ('admin', 'operator', 'viewer', 'developer')),
        tenants text[] NOT NULL DEFAULT '{}',
        password text,
        disabled boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
      )`);
    await runner.query(`
      CREATE TABLE console_session (
        token_hash bytea PRIMARY KEY,
        user_name text NOT NULL REFERENCES console_user (name) ON DELETE CASCADE,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ends_at timestamptz NOT NULL
      )`);
    await runner.query('CREATE INDEX console_session_ends ON console_session (ends_at)');
    await runner.query('CREATE TABLE console_used_link (id text PRIMARY KEY, until timestamptz NOT NULL)');
    await runner.query(`
      CREATE TABLE console_failure (
        key text PRIMARY KEY,
        failures integer NOT NULL,
        failed_at timestamptz NOT NULL,
        wait_until timestamptz NOT NULL
      )`);
    await runner.query(`
      CREATE TABLE console_sign_in (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        actor text NOT NULL,
        method text NOT NULL,
        address text NOT NULL,
        outcome text NOT NULL,
        reason text
      )`);
    await runner.query(`
      CREATE FUNCTION console_sign_in_stays() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'the record of sign-ins is append-only';
      END $$`);
    await runner.query(`
      CREATE TRIGGER console_sign_in_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON console_sign_in
        FOR EACH STATEMENT EXECUTE FUNCTION console_sign_in_stays()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE console_sign_in, console_failure, console_used_link, console_session, console_user');
    await runner.query('DROP FUNCTION console_sign_in_stays()');
  }
}
