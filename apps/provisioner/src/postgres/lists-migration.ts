/** The first page of a list of containers costs the page, whatever it is filtered by. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddLists1700000016000 implements MigrationInterface {
  readonly name = 'AddLists1700000016000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE INDEX containers_of_tenant ON containers (tenant, ordinal)');
    await runner.query('CREATE INDEX containers_in_state ON containers (state, ordinal)');
    // Instead of the index on the host alone.
    await runner.query('CREATE INDEX containers_on_host ON containers (host, ordinal)');
    await runner.query('DROP INDEX containers_host');
    // Instead of the index on the image alone.
    await runner.query(
      `CREATE INDEX containers_on_image ON containers ((config->>'image'), ordinal) WHERE state <> 'removed'`,
    );
    await runner.query('DROP INDEX containers_image');
    await runner.query(
      `CREATE INDEX containers_image_name ON containers (split_part(config->>'image', '@', 1), ordinal)
         WHERE state <> 'removed'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE INDEX containers_host ON containers (host)');
    await runner.query(`CREATE INDEX containers_image ON containers ((config->>'image')) WHERE state <> 'removed'`);
    await runner.query(
      'DROP INDEX containers_of_tenant, containers_in_state, containers_on_host, containers_on_image, containers_image_name',
    );
  }
}
