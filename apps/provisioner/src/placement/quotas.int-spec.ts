/** Quotas of tenants with two provisioners at once, on a real NATS and PostgreSQL. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { SUBJECTS } from '@plinth/contracts';
import { createLogger, openDatabase } from '@plinth/service-kit';
import { waitingTenants } from '../containers/intake.store.js';
import { PROVISIONER_MIGRATIONS } from '../postgres/migrations.js';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';
import { correctCounts } from './count.store.js';

const logger = createLogger('provisioner', 'test', 'fatal');
let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, ['host-1', 'host-2'], 500, {
    PLINTH_TENANT_MAX_CONTAINERS: '5',
    PLINTH_TENANT_MAX_MEMORY_BYTES: String(1024 ** 3),
    PLINTH_TENANT_MAX_DISK_BYTES: String(1024 ** 2),
  });
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
});
afterAll(() => suite?.close());

it('are never exceeded with several provisioners, and never touch another tenant', async () => {
  const asked = Array.from({ length: 20 }, (_, index) =>
    suite.ask(SUBJECTS.containerRequested, { name: `c-${index}`, tenant: 'greedy' }),
  );
  await Promise.all([...asked, suite.ask(SUBJECTS.containerRequested, { name: 'single', tenant: 'modest' })]);
  await suite.until(
    () =>
      suite.of(SUBJECTS.containerConfigured, { tenant: 'greedy' }).length +
        suite.of(SUBJECTS.containerRejected, { tenant: 'greedy' }).length ===
      20,
    'all are answered',
  );
  expect(suite.of(SUBJECTS.containerConfigured, { tenant: 'greedy' })).toHaveLength(5);
  expect(suite.of(SUBJECTS.containerRejected, { tenant: 'greedy', reason: 'quota-exceeded' })).toHaveLength(15);
  await suite.fact(SUBJECTS.containerStarted, { tenant: 'modest' });
});

it('count memory, and return it with a removed container', async () => {
  const limits = { memoryBytes: 600 * 1024 ** 2 };
  await suite.ask(SUBJECTS.containerRequested, { name: 'big', tenant: 'heavy', limits });
  await suite.fact(SUBJECTS.containerStarted, { tenant: 'heavy', name: 'big' });
  await suite.ask(SUBJECTS.containerRequested, { name: 'bigger', tenant: 'heavy', limits });
  expect(await suite.fact(SUBJECTS.containerRejected, { tenant: 'heavy', name: 'bigger' })).toMatchObject({
    reason: 'quota-exceeded',
  });
  await suite.ask(SUBJECTS.containerRemoveRequested, { name: 'big', tenant: 'heavy' });
  await suite.fact(SUBJECTS.containerRemoved, { tenant: 'heavy', name: 'big' });
  await suite.ask(SUBJECTS.containerRequested, { name: 'again', tenant: 'heavy', limits });
  await suite.fact(SUBJECTS.containerStarted, { tenant: 'heavy', name: 'again' });
});

it('count the size of the data, until some of them are deleted', async () => {
  // Every attempt uses another tenant, so that no other quota applies.
  const hoarders = Array.from({ length: 500 }, (_, index) => `hoarder-${index}`);
  for (const tenant of hoarders) suite.hosts.diskUse.set(tenant, 1024 ** 2);
  suite.hosts.diskUse.set('tidy', 1024 ** 2 - 1);
  const isRefused = async (): Promise<boolean> => {
    const requestId = await suite.ask(SUBJECTS.containerRequested, { tenant: hoarders.pop() });
    const answer = await suite.until(
      () =>
        [
          ...suite.of(SUBJECTS.containerRejected, { requestId }),
          ...suite.of(SUBJECTS.containerConfigured, { requestId }),
        ][0],
      'an answer',
    );
    return String(answer['message']).includes('of disk');
  };
  await suite.until(isRefused, 'it is refused');
  await suite.ask(SUBJECTS.containerRequested, { name: 'one', tenant: 'tidy' });
  await suite.fact(SUBJECTS.containerStarted, { tenant: 'tidy' });
  suite.hosts.diskUse.clear();
  await suite.until(async () => !(await isRefused()), 'it is not refused any more');
});

it('are right again after two provisioners have counted all rows at once', async () => {
  const sources = await Promise.all(
    [1, 2].map(() =>
      openDatabase({ url: suite.databaseUrl, schema: 'provisioner', migrations: PROVISIONER_MIGRATIONS, logger }),
    ),
  );
  await suite.rows(`
    CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
    INSERT INTO count_changes (kind, about, n, bytes) VALUES ('tenant', 'drifted', 3, 0);
    CREATE TRIGGER wait_for_test BEFORE INSERT ON count_changes FOR EACH ROW WHEN (NEW.about = 'drifted')
      EXECUTE FUNCTION wait_for_test()`);
  let corrected: Promise<unknown> | undefined;
  await suite.inTransaction(async (hold) => {
    await hold('SELECT pg_advisory_lock(1)');
    corrected = Promise.all(sources.map(({ manager }) => correctCounts(manager)));
    const waiting = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`;
    await suite.until(async () => (await suite.rows(waiting)).length === 2, 'both have begun');
  });
  await corrected;
  expect(await suite.rows(`SELECT * FROM count_drift() WHERE about = 'drifted'`)).toEqual([]);
  await suite.rows('DROP FUNCTION wait_for_test() CASCADE');
  await Promise.all(sources.map((source) => source.destroy()));
});

it('and rules of groups are never broken by provisioners that decide at once', async () => {
  const rule = { group: 'web', antiAffinity: { isRequired: true } };
  await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      suite.ask(SUBJECTS.containerRequested, { name: `apart-${index}`, tenant: 'grouped', ...rule }),
    ),
  );
  await suite.until(
    () =>
      suite.of(SUBJECTS.containerConfigured, { tenant: 'grouped' }).length +
        suite.of(SUBJECTS.containerRejected, { tenant: 'grouped' }).length ===
      10,
    'all are answered',
  );
  expect(
    suite
      .of(SUBJECTS.containerConfigured, { tenant: 'grouped' })
      .map(({ host }) => host)
      .sort(),
  ).toEqual(['host-1', 'host-2']);
  expect(suite.of(SUBJECTS.containerRejected, { tenant: 'grouped', reason: 'anti-affinity-not-met' })).toHaveLength(8);
});

it('are kept as a count of all rows gives them, and corrected when they are not', async () => {
  const drift = (): Promise<readonly object[]> => suite.rows('SELECT * FROM count_drift()');
  // Nothing is lost while changes are folded.
  await suite.until(
    async () => (await suite.rows('SELECT 1 FROM count_changes')).length === 0,
    'all changes are folded',
  );
  expect(await drift()).toEqual([]);
  await suite.rows(`UPDATE kept_counts SET n = n + 1 WHERE kind = 'tenant' AND about = 'greedy'`);
  expect(await drift()).toEqual([{ kind: 'tenant', about: 'greedy', n: '-1', bytes: '0' }]);
  await suite.rows('INSERT INTO count_changes (kind, about, n, bytes) SELECT * FROM count_drift()');
  expect(await drift()).toEqual([]);
});

it('are not needed for a fair turn: of tenants whose requests wait, each is taken once, from whichever on', async () => {
  const source = await openDatabase({
    url: suite.databaseUrl,
    schema: 'provisioner',
    migrations: PROVISIONER_MIGRATIONS,
    logger,
  });
  const runner = source.createQueryRunner();
  try {
    // No provisioner sees them.
    await runner.startTransaction();
    await runner.query(`INSERT INTO intake (tenant, event) SELECT 'turn-' || n, '{}' FROM generate_series(1, 5) n`);
    expect(await waitingTenants(runner.manager, 'turn-3', 16)).toEqual([4, 5, 1, 2, 3].map((n) => `turn-${n}`));
    expect(await waitingTenants(runner.manager, 'turn-3', 4)).toEqual([4, 5, 1, 2].map((n) => `turn-${n}`));
    expect(await waitingTenants(runner.manager, '', 2)).toEqual(['turn-1', 'turn-2']);
    await runner.rollbackTransaction();
  } finally {
    await runner.release();
    await source.destroy();
  }
});
