/** What is kept for its time and no longer, by a provisioner on a real NATS and PostgreSQL whose rows are made older. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { containerStatus, STREAMS, SUBJECTS } from '@plinth/contracts';
import { NatsError } from 'nats';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';
import { KEPT_HISTORY } from './retention.js';

let suite: ProvisionerSuite;

beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, ['host-1'], 500, { PLINTH_RETENTION_SECONDS: '1' });
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
});
afterAll(() => suite?.close());

async function ids(prefix: string): Promise<readonly string[]> {
  const rows = await suite.rows<{ id: string }>(
    `SELECT id FROM containers WHERE name LIKE '${prefix}-%' ORDER BY ordinal`,
  );
  return rows.map(({ id }) => id);
}

async function remove(prefix: string, count: number): Promise<readonly string[]> {
  for (let index = 0; index < count; index++)
    await suite.ask(SUBJECTS.containerRemoveRequested, { name: `${prefix}-${index}` });
  await suite.until(
    () =>
      suite.of(SUBJECTS.containerRemoved).filter(({ name }) => String(name).startsWith(`${prefix}-`)).length === count,
    `${prefix} are removed`,
  );
  return ids(prefix);
}

const makeOlder = (some: readonly string[], age: string): Promise<void> =>
  suite.inTransaction(async (query) => {
    await query(
      `UPDATE containers SET removed_at = removed_at - interval '${age}' WHERE id IN ('${some.join("','")}')`,
    );
  });

/** How many of them have a status on the bus. */
async function statuses(some: readonly string[]): Promise<number> {
  const jsm = await suite.connection.jetstreamManager();
  const found = await Promise.all(
    some.map((id) =>
      jsm.streams.getMessage(STREAMS.status.name, { last_by_subj: containerStatus(id) }).catch((error: unknown) => {
        if (error instanceof NatsError && error.api_error?.code === 404) return undefined;
        throw error;
      }),
    ),
  );
  return found.filter((message) => message !== undefined).length;
}

it('forgets removed containers, their status first', async () => {
  await suite.run('old', 3);
  await suite.run('new', 2);
  await suite.run('live', 2);
  const [old, recent, live] = [await remove('old', 3), await remove('new', 2), await ids('live')];
  expect(await statuses([...old, ...recent, ...live])).toBe(7);
  await makeOlder([...old, ...live], '25 hours');
  await suite.until(async () => (await statuses(old)) === 0, 'no status of what was removed a day ago is on the bus');
  expect(await statuses([...recent, ...live])).toBe(4);
  expect(await ids('old')).toEqual(old);
  await makeOlder([...old, ...live], '30 days');
  await suite.until(async () => (await ids('old')).length === 0, 'what was removed a month ago is gone');
  const left = await suite.rows<{ id: string }>(
    'SELECT DISTINCT container_id AS id FROM container_history ORDER BY id',
  );
  expect(left.map(({ id }) => id)).toEqual([...recent, ...live].sort());
  // A name and an id of a request that are forgotten are free.
  await suite.run('old', 3);
});

it('keeps the members of a rollout as long as the rollout', async () => {
  await suite.run('moved', 1);
  const [id] = await remove('moved', 1);
  if (id === undefined) throw new Error('nothing was made');
  await suite.inTransaction(async (query) => {
    await query(
      `INSERT INTO rollouts (id, request_id, request, correlation_id, target, state, ended_at)
       VALUES ('r-1', 'r-1', '{}', 'r-1', 'debian-12@v1', 'completed', now() - interval '29 days')`,
    );
    await query(
      `INSERT INTO rollout_members (rollout_id, ordinal, container_id, from_image, to_image, phase)
       VALUES ('r-1', 0, '${id}', 'debian-12@v1', 'debian-12@v1', 'updated')`,
    );
  });
  await makeOlder([id], '31 days');
  await suite.until(async () => (await statuses([id])) === 0, 'its status is gone');
  // Another one that is as old shows that a look came after it.
  await suite.run('witness', 1);
  const witness = await remove('witness', 1);
  await makeOlder(witness, '31 days');
  await suite.until(async () => (await ids('witness')).length === 0, 'the witness is gone');
  expect(await ids('moved')).toEqual([id]);
  await suite.inTransaction(async (query) => {
    await query(`UPDATE rollouts SET ended_at = ended_at - interval '2 days'`);
  });
  await suite.until(async () => (await ids('moved')).length === 0, 'the member is gone with the rollout');
  expect(await suite.rows('SELECT id FROM rollouts')).toEqual([]);
});

it('keeps the newest entries of a history', async () => {
  await suite.run('busy', 1);
  const [id] = await ids('busy');
  await suite.inTransaction(async (query) => {
    await query(
      `INSERT INTO container_history (container_id, at, kind, generation)
       SELECT '${id}', now(), 'started', n FROM generate_series(1, ${KEPT_HISTORY + 100}) AS n`,
    );
  });
  // The first look of a provisioner comes with its start.
  await suite.startProvisioner('provisioner-3');
  const [kept] = await suite.until(async () => {
    const found = await suite.rows<{ count: number; oldest: number }>(
      `SELECT count(*)::int AS count, min(generation) AS oldest FROM container_history WHERE container_id = '${id}'`,
    );
    return found[0]?.count === KEPT_HISTORY && found;
  }, 'the history is shorter');
  expect(kept?.oldest).toBe(101);
});
