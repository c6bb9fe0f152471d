/** Why hosts could not fetch an image: what a rollout that waits for them shows. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AddHostImageFailures1700000028500 implements MigrationInterface {
  readonly name = 'AddHostImageFailures1700000028500';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE host_image_failures (host text COLLATE "C" NOT NULL, image text COLLATE "C" NOT NULL,
         reason text NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (host, image))`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE host_image_failures');
  }
}
