/** People who sign in by an OpenID provider: who they are there. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddProviderPeople1700000004000 implements MigrationInterface {
  readonly name = 'AddProviderPeople1700000004000';

  async up(runner: QueryRunner): Promise<void> {
    // Names of people of a provider and local names can't be the same, and only the provider knows their passwords.
    await runner.query(`
      ALTER TABLE console_user
        ADD COLUMN issuer text,
        ADD COLUMN subject text,
        ADD CONSTRAINT console_user_provider CHECK (
          (issuer IS NULL AND subject IS NULL AND name NOT LIKE 'oidc:%')
          OR (issuer IS NOT NULL AND subject IS NOT NULL AND password IS NULL AND name LIKE 'oidc:%'))`);
    await runner.query('CREATE UNIQUE INDEX console_user_subject ON console_user (issuer, subject)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DELETE FROM console_user WHERE issuer IS NOT NULL');
    await runner.query('ALTER TABLE console_user DROP CONSTRAINT console_user_provider');
    await runner.query('ALTER TABLE console_user DROP COLUMN issuer, DROP COLUMN subject');
  }
}
