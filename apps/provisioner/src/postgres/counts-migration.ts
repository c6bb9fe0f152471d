/** Numbers that lists and quotas need are kept, so that nobody counts all rows; and indexes by which a rollout finds its next members. */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A change of a number is a row that is added, never an update: transactions that change containers of one tenant do not
 * wait for each other. The number is the sum of `kept_counts` and `count_changes`; the changes are folded into the
 * former now and then (retention/count-keeping.ts). Triggers write them, so that every statement is counted, also those
 * of the version before.
 */
export class AddCounts1700000021000 implements MigrationInterface {
  readonly name = 'AddCounts1700000021000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE kept_counts (kind text COLLATE "C" NOT NULL, about text COLLATE "C" NOT NULL, n bigint NOT NULL,
         bytes bigint NOT NULL, PRIMARY KEY (kind, about))`,
    );
    await runner.query(
      `CREATE TABLE count_changes (ordinal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         kind text COLLATE "C" NOT NULL, about text COLLATE "C" NOT NULL, n bigint NOT NULL, bytes bigint NOT NULL)
         WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
    );
    await runner.query('CREATE INDEX count_changes_about ON count_changes (kind, about)');
    await countContainers(runner);
    await countMembers(runner);
    // What is counted less what is kept, by one snapshot.
    await runner.query(
      `CREATE FUNCTION count_drift() RETURNS TABLE (kind text, about text, n bigint, bytes bigint) LANGUAGE sql STABLE AS $$
         SELECT kind, about, sum(n)::bigint, sum(bytes)::bigint FROM (
           SELECT 'tenant' AS kind, tenant AS about, count(*) AS n, sum(memory_bytes) AS bytes FROM containers
            WHERE state <> 'removed' GROUP BY tenant
           UNION ALL SELECT 'node', config->>'storageNode', count(*), 0 FROM containers
            WHERE state <> 'removed' AND config ? 'storageNode' GROUP BY 2
           UNION ALL SELECT 'image', config->>'image', count(*), 0 FROM containers
            WHERE state <> 'removed' AND config ? 'image' GROUP BY 2
           UNION ALL SELECT 'rollout', member_count(rollout_id, phase, batch), count(*), 0 FROM rollout_members GROUP BY 2
           UNION ALL SELECT kind, about, -n, -bytes FROM kept_counts
           UNION ALL SELECT kind, about, -n, -bytes FROM count_changes) numbers
          GROUP BY kind, about HAVING sum(n) <> 0 OR sum(bytes) <> 0 $$`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TRIGGER containers_counted ON containers');
    await runner.query('DROP TRIGGER containers_recounted ON containers');
    for (const when of ['made', 'changed', 'gone'])
      await runner.query(`DROP TRIGGER members_${when} ON rollout_members`);
    await runner.query(
      'DROP FUNCTION count_drift(), count_new_containers(), count_changed_container(), count_members()',
    );
    await runner.query('DROP FUNCTION member_count(text, text, integer)');
    await runner.query('DROP TABLE count_changes, kept_counts');
  }
}

async function countContainers(runner: QueryRunner): Promise<void> {
  await runner.query(
    `CREATE FUNCTION count_new_containers() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO count_changes (kind, about, n, bytes)
         SELECT k.kind, k.about, count(*), sum(k.bytes) FROM made m CROSS JOIN LATERAL (VALUES
           ('tenant', m.tenant, m.memory_bytes), ('node', m.config->>'storageNode', 0),
           ('image', m.config->>'image', 0)) AS k(kind, about, bytes)
          WHERE m.state <> 'removed' AND k.about IS NOT NULL GROUP BY k.kind, k.about;
       RETURN NULL; END $$`,
  );
  await runner.query(
    `CREATE TRIGGER containers_counted AFTER INSERT ON containers REFERENCING NEW TABLE AS made
       FOR EACH STATEMENT EXECUTE FUNCTION count_new_containers()`,
  );
  await runner.query(
    `CREATE FUNCTION count_changed_container() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO count_changes (kind, about, n, bytes)
         SELECT kind, about, sum(n), sum(bytes) FROM (VALUES
           (OLD.state, 'tenant', OLD.tenant, -1, -OLD.memory_bytes), (OLD.state, 'node', OLD.config->>'storageNode', -1, 0),
           (OLD.state, 'image', OLD.config->>'image', -1, 0), (NEW.state, 'tenant', NEW.tenant, 1, NEW.memory_bytes),
           (NEW.state, 'node', NEW.config->>'storageNode', 1, 0), (NEW.state, 'image', NEW.config->>'image', 1, 0))
           AS k(state, kind, about, n, bytes)
          WHERE state <> 'removed' AND about IS NOT NULL
          GROUP BY kind, about HAVING sum(n) <> 0 OR sum(bytes) <> 0;
       RETURN NULL; END $$`,
  );
  await runner.query(
    `CREATE TRIGGER containers_recounted AFTER UPDATE ON containers FOR EACH ROW
       WHEN ((OLD.state = 'removed', OLD.tenant, OLD.memory_bytes, OLD.config->>'storageNode', OLD.config->>'image')
         IS DISTINCT FROM
         (NEW.state = 'removed', NEW.tenant, NEW.memory_bytes, NEW.config->>'storageNode', NEW.config->>'image'))
       EXECUTE FUNCTION count_changed_container()`,
  );
}

async function countMembers(runner: QueryRunner): Promise<void> {
  await runner.query(
    `CREATE FUNCTION member_count(rollout text, phase text, batch integer) RETURNS text LANGUAGE sql IMMUTABLE
       PARALLEL SAFE AS
       $$ SELECT rollout || '/' || CASE WHEN phase = 'pending' AND batch IS NULL THEN 'unassigned' ELSE phase END $$`,
  );
  await runner.query(
    `CREATE FUNCTION count_members() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF TG_OP = 'INSERT' THEN
         INSERT INTO count_changes (kind, about, n, bytes)
           SELECT 'rollout', member_count(rollout_id, phase, batch), count(*), 0 FROM after GROUP BY 2;
       ELSIF TG_OP = 'DELETE' THEN
         INSERT INTO count_changes (kind, about, n, bytes)
           SELECT 'rollout', member_count(rollout_id, phase, batch), -count(*), 0 FROM before GROUP BY 2;
       ELSE
         INSERT INTO count_changes (kind, about, n, bytes)
           SELECT 'rollout', about, sum(n), 0 FROM (
             SELECT member_count(rollout_id, phase, batch) AS about, 1 AS n FROM after
             UNION ALL SELECT member_count(rollout_id, phase, batch), -1 FROM before) changes
            GROUP BY about HAVING sum(n) <> 0;
       END IF;
       RETURN NULL; END $$`,
  );
  await runner.query(
    `CREATE TRIGGER members_made AFTER INSERT ON rollout_members REFERENCING NEW TABLE AS after
       FOR EACH STATEMENT EXECUTE FUNCTION count_members()`,
  );
  await runner.query(
    `CREATE TRIGGER members_changed AFTER UPDATE ON rollout_members REFERENCING OLD TABLE AS before NEW TABLE AS after
       FOR EACH STATEMENT EXECUTE FUNCTION count_members()`,
  );
  await runner.query(
    `CREATE TRIGGER members_gone AFTER DELETE ON rollout_members REFERENCING OLD TABLE AS before
       FOR EACH STATEMENT EXECUTE FUNCTION count_members()`,
  );
}

/** Counts what was there before, without a lock: what others change meanwhile is in both numbers or in neither. */
export class FillCounts1700000021100 implements MigrationInterface {
  readonly name = 'FillCounts1700000021100';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('INSERT INTO count_changes (kind, about, n, bytes) SELECT * FROM count_drift()');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('TRUNCATE count_changes, kept_counts');
  }
}

/** By which a step of a rollout reads its batch, and the search for containers on lost hosts only those. */
export class AddBatchIndexes1700000021200 implements MigrationInterface {
  readonly name = 'AddBatchIndexes1700000021200';

  async up(runner: QueryRunner): Promise<void> {
    // Pairs of storage node and image that the members need; null: of a rollout that the version before has made.
    await runner.query('ALTER TABLE rollouts ADD COLUMN needs jsonb');
    await runner.query(
      `CREATE INDEX rollout_members_unassigned ON rollout_members (rollout_id, ordinal)
         WHERE phase = 'pending' AND batch IS NULL`,
    );
    await runner.query(
      `CREATE INDEX rollout_members_assigned ON rollout_members (rollout_id, ordinal)
         WHERE phase = 'pending' AND batch IS NOT NULL`,
    );
    await runner.query(
      `CREATE INDEX rollout_members_open ON rollout_members (rollout_id, ordinal)
         WHERE phase IN ('switching', 'restoring')`,
    );
    await runner.query(
      `CREATE INDEX rollout_members_switched ON rollout_members (rollout_id, ordinal)
         WHERE update_id IS NOT NULL AND phase IN ('updated', 'switching', 'skipped', 'failed')`,
    );
    await runner.query(
      'CREATE INDEX rollout_members_batch ON rollout_members (rollout_id, batch) WHERE batch IS NOT NULL',
    );
    await runner.query('CREATE INDEX rollout_members_changed ON rollout_members (rollout_id, changed_at)');
    await runner.query(`CREATE INDEX hosts_lost ON hosts (host) WHERE state = 'lost'`);
    // What needs an image is found by each of the ways in which it may.
    await runner.query('CREATE INDEX containers_known_good ON containers USING gin (known_good)');
    await runner.query(
      'CREATE INDEX containers_running_image ON containers (running_image, ordinal) WHERE running_image IS NOT NULL',
    );
    await runner.query(
      `CREATE INDEX containers_returning ON containers ((config->'update'->'knownGood'->>'image'), ordinal)
         WHERE config ? 'update'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX containers_returning, containers_running_image, containers_known_good, hosts_lost');
    await runner.query(
      'DROP INDEX rollout_members_changed, rollout_members_batch, rollout_members_switched, rollout_members_open',
    );
    await runner.query('DROP INDEX rollout_members_assigned, rollout_members_unassigned');
    await runner.query('ALTER TABLE rollouts DROP COLUMN needs');
  }
}
