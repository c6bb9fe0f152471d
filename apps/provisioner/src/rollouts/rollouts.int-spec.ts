/** Updates and rollouts by three provisioners on a real NATS and PostgreSQL, with scripted hosts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ContainerDetails,
  hostImageReport,
  type HostStatus,
  type Page,
  QUERIES,
  type RolloutDetails,
  type RolloutMember,
  type RolloutRequested,
  type RolloutState,
  SUBJECTS,
} from '@plinth/contracts';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const HOSTS = ['host-1', 'host-2', 'host-3'];
const QUICK = { stableSeconds: 0, soakSeconds: 0, deadlineSeconds: 20 };

let suite: ProvisionerSuite;
let group = 0;

/** A name of its own for the containers of one test. */
const newPrefix = (): string => `g${++group}`;

beforeAll(async () => {
  suite = await ProvisionerSuite.open(3, HOSTS, 500, { PLINTH_HOST_LOST_SECONDS: '6' });
  for (const version of ['v1', 'v2', 'v3']) await suite.promote('debian-12', version);
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
});
afterAll(() => suite?.close());
beforeEach(() => suite.hosts.fates.clear());

const inspect = (name: string, tenant?: string): Promise<ContainerDetails> =>
  suite.answer(QUERIES.container, { name, tenant });
const rollout = (requestId: string): Promise<RolloutDetails> => suite.answer(QUERIES.rollout, { requestId });
const update = (name: string, to: string): Promise<string> =>
  suite.ask(SUBJECTS.containerUpdateRequested, { name, to, stableSeconds: 0, soakSeconds: 0 });

async function start(
  request: Omit<RolloutRequested, 'to'> & { to?: string },
): Promise<{ requestId: string; id: string }> {
  const requestId = await suite.ask(SUBJECTS.rolloutRequested, { to: 'debian-12@v2', ...QUICK, ...request });
  const fact = await suite.fact(SUBJECTS.rolloutStarted, { requestId });
  return { requestId, id: String(fact['rolloutId']) };
}

async function ended(requestId: string, state: RolloutState): Promise<RolloutDetails> {
  const details = await suite.until(async () => {
    const found = await rollout(requestId);
    return found.endedAt !== null && found.state === state && found;
  }, `the rollout is ${state}`);
  await suite.allPublished();
  return details;
}

describe('one container', () => {
  it('is known to be good on the image that it was moved to', async () => {
    const name = newPrefix();
    await suite.run(name, 1);
    await update(`${name}-0`, 'debian-12@v2');
    const fact = await suite.fact(SUBJECTS.containerUpdated, { name: `${name}-0` });
    expect(fact).toMatchObject({ image: 'debian-12@v2', from: 'debian-12@v1' });
    const found = await inspect(`${name}-0`);
    expect(found).toMatchObject({ image: 'debian-12@v2', knownGood: 'debian-12@v2', update: { state: 'updated' } });
    expect(found.config?.update).toBeUndefined();
    await update(`${name}-0`, 'known-good');
    await suite.fact(SUBJECTS.containerUpdated, { name: `${name}-0`, image: 'debian-12@v1' });
    // The configs after the verdicts have started nothing.
    expect(suite.hosts.starts.filter((line) => line.startsWith(`${name}-0 `))).toEqual([
      `${name}-0 debian-12@v1`,
      `${name}-0 debian-12@v2`,
      `${name}-0 debian-12@v1`,
    ]);
  });

  it('is reverted when its host reports a failure, with the cause', async () => {
    const name = newPrefix();
    await suite.run(name, 1);
    suite.hosts.fates.set(`${name}-0`, 'fails');
    await update(`${name}-0`, 'debian-12@v2');
    expect(await suite.fact(SUBJECTS.containerReverted, { name: `${name}-0` })).toMatchObject({
      image: 'debian-12@v1',
      failedImage: 'debian-12@v2',
      reason: 'unhealthy',
      checkOutput: 'no answer',
    });
    const found = await inspect(`${name}-0`);
    expect(found).toMatchObject({
      image: 'debian-12@v1',
      state: 'running',
      update: { state: 'reverted', reason: 'unhealthy' },
    });
    expect(suite.hosts.imagesOf(name)).toEqual(['debian-12@v1']);
  });

  it('runs on as it was when its host refuses', async () => {
    const name = newPrefix();
    await suite.run(name, 1);
    suite.hosts.fates.set(`${name}-0`, 'refuses');
    const requestId = await update(`${name}-0`, 'debian-12@v2');
    expect(await suite.fact(SUBJECTS.containerRejected, { requestId })).toMatchObject({
      operation: 'update',
      reason: 'image-unavailable',
    });
    expect(await inspect(`${name}-0`)).toMatchObject({
      image: 'debian-12@v1',
      state: 'running',
      update: { state: 'refused' },
    });
    expect(suite.hosts.starts.filter((line) => line.startsWith(`${name}-0 `))).toHaveLength(1);
  });

  const refusals: readonly [string, string, string][] = [
    ['the image that it is on', 'debian-12@v1', 'already-on-image'],
    ['an image that is not there', 'debian-13@v1', 'image-unavailable'],
    ['a version that is not there', 'debian-12@v99', 'image-unavailable'],
    ['known good, when there is no other', 'known-good', 'no-known-good'],
  ];
  it.each(refusals)('is not moved to %s', async (_, to, reason) => {
    const name = newPrefix();
    await suite.run(name, 1);
    const requestId = await update(`${name}-0`, to);
    expect(await suite.fact(SUBJECTS.containerRejected, { requestId })).toMatchObject({ operation: 'update', reason });
  });

  it('is not moved to an image that its storage node does not hold', async () => {
    const name = newPrefix();
    await suite.promote('elsewhere', 'v1', false);
    await suite.run(name, 1);
    const requestId = await update(`${name}-0`, 'elsewhere@v1');
    expect(await suite.fact(SUBJECTS.containerRejected, { requestId })).toMatchObject({ reason: 'image-unavailable' });
  });

  it('can be moved on while it is on trial, and is then reverted to the image before', async () => {
    const name = newPrefix();
    await suite.run(name, 1);
    suite.hosts.fates.set(`${name}-0`, 'hangs');
    await update(`${name}-0`, 'debian-12@v2');
    await suite.until(() => suite.hosts.imagesOf(name)[0] === 'debian-12@v2', 'it is on trial');
    suite.hosts.fates.set(`${name}-0`, 'fails');
    await update(`${name}-0`, 'debian-12@v3');
    expect(await suite.fact(SUBJECTS.containerReverted, { name: `${name}-0` })).toMatchObject({
      image: 'debian-12@v1',
      failedImage: 'debian-12@v3',
    });
  });
});

describe('many containers', () => {
  it('are moved in batches, each once, within the budget, with a provisioner killed in the middle', async () => {
    const name = newPrefix();
    await suite.run(name, 30, { tenant: name });
    suite.hosts.mostOnTrial = 0;
    const { requestId, id } = await start({
      select: { tenant: name },
      canary: 1,
      batch: '6',
      maxDownPerHost: 2,
      maxDownPerTenant: 6,
    });
    await suite.until(() => suite.of(SUBJECTS.rolloutBatchStarted, { rolloutId: id }).length >= 2, 'the second batch');
    const victim = suite.provisioners[0];
    await victim?.end('SIGKILL');
    const found = await ended(requestId, 'completed');
    await suite.startProvisioner('provisioner-1');
    expect(found.counts).toMatchObject({ total: 30, updated: 30 });
    expect(suite.hosts.mostOnTrial).toBeLessThanOrEqual(2);
    const starts = suite.hosts.starts.filter((line) => line.startsWith(`${name}-`) && line.endsWith('@v2'));
    expect(new Set(starts).size).toBe(30);
    expect(starts).toHaveLength(30);
    const batches = suite.of(SUBJECTS.rolloutBatchStarted, { rolloutId: id });
    expect(batches.map(({ batch, size }) => [batch, size])).toEqual([
      [0, 1],
      [1, 6],
      [2, 6],
      [3, 6],
      [4, 6],
      [5, 5],
    ]);
    expect(suite.of(SUBJECTS.rolloutBatchFinished, { rolloutId: id }).map(({ batch }) => batch)).toEqual([
      0, 1, 2, 3, 4, 5,
    ]);
    expect(suite.of(SUBJECTS.rolloutCompleted, { rolloutId: id })).toHaveLength(1);
    const page = (cursor?: string): Promise<Page<RolloutMember>> =>
      suite.answer(QUERIES.rolloutMembers, { id, cursor, limit: 20 });
    const first = await page();
    const second = await page(first.next);
    expect([...first.items, ...second.items]).toEqual(found.members);
    expect([first.items.length, second.items.length, second.next]).toEqual([20, 10, undefined]);
  });

  it('are all reverted when one fails', async () => {
    const name = newPrefix();
    await suite.run(name, 12, { tenant: name });
    suite.hosts.fates.set(`${name}-7`, 'fails');
    const { requestId, id } = await start({ select: { tenant: name }, batch: '4' });
    const found = await ended(requestId, 'reverted');
    expect(found.counts).toMatchObject({ total: 12, failed: 1, updated: 0 });
    expect(found.members.find((member) => member.name === `${name}-7`)).toMatchObject({
      phase: 'failed',
      reason: 'unhealthy',
    });
    await suite.until(
      () => suite.hosts.imagesOf(`${name}-`).every((image) => image === 'debian-12@v1'),
      'all are back',
    );
    expect(suite.of(SUBJECTS.rolloutHalted, { rolloutId: id })).toMatchObject([{ because: 'failures' }]);
    expect(suite.of(SUBJECTS.rolloutReverted, { rolloutId: id })).toHaveLength(1);
    expect((await inspect(`${name}-0`, name)).config?.image).toBe('debian-12@v1');
  });

  it('wait for a person when the request demands it, and continue without the one that failed', async () => {
    const name = newPrefix();
    await suite.run(name, 4, { tenant: name });
    suite.hosts.fates.set(`${name}-0`, 'fails');
    const { requestId, id } = await start({
      select: { tenant: name },
      batch: '4',
      canary: 0,
      onFailure: 'pause',
      approval: 'none',
    });
    await suite.until(
      async () => (await rollout(requestId)).wait?.reason === 'paused-by-failures',
      'it waits for a person',
    );
    await suite.ask(SUBJECTS.rolloutResumeRequested, { rolloutId: id });
    expect((await ended(requestId, 'completed')).counts).toMatchObject({ updated: 3, failed: 1 });
    const late = await suite.ask(SUBJECTS.rolloutPauseRequested, { rolloutId: id });
    expect(await suite.fact(SUBJECTS.rolloutRejected, { requestId: late })).toMatchObject({
      operation: 'pause',
      reason: 'wrong-state',
    });
  });

  it('are approved after the canary, paused, resumed, aborted, and reverted afterwards', async () => {
    const name = newPrefix();
    await suite.run(name, 6, { tenant: name });
    const { requestId, id } = await start({ select: { tenant: name }, batch: '1', approval: 'canary' });
    await suite.until(
      async () => (await rollout(requestId)).wait?.reason === 'approval-needed',
      'it waits for an approval',
    );
    expect((await rollout(requestId)).counts).toMatchObject({ updated: 1, pending: 5 });
    await suite.ask(SUBJECTS.rolloutApprovalRequested, { rolloutId: id });
    await suite.until(async () => (await rollout(requestId)).counts.updated >= 2, 'it continues');
    await suite.ask(SUBJECTS.rolloutPauseRequested, { rolloutId: id });
    await suite.fact(SUBJECTS.rolloutPaused, { rolloutId: id, because: 'person' });
    await suite.ask(SUBJECTS.rolloutResumeRequested, { rolloutId: id });
    await suite.fact(SUBJECTS.rolloutResumed, { rolloutId: id });
    await suite.ask(SUBJECTS.rolloutAbortRequested, { rolloutId: id });
    const aborted = await ended(requestId, 'aborted');
    expect(aborted.counts.updated + aborted.counts.pending).toBe(6);
    expect(suite.of(SUBJECTS.rolloutAborted, { rolloutId: id })).toHaveLength(1);
    await suite.ask(SUBJECTS.rolloutRevertRequested, { rolloutId: id });
    const back = await ended(requestId, 'reverted');
    expect(back.counts).toMatchObject({ restored: aborted.counts.updated, pending: aborted.counts.pending });
    await suite.until(
      () => suite.hosts.imagesOf(`${name}-`).every((image) => image === 'debian-12@v1'),
      'all are back',
    );
  });

  it('do not wait for a host that is lost, which follows when it is back', async () => {
    const name = newPrefix();
    await suite.run(name, 9, { tenant: name });
    for (let index = 0; index < 9; index++) suite.hosts.fates.set(`${name}-${index}`, 'hangs');
    const { requestId } = await start({ select: { tenant: name }, canary: 0, batch: '100%', deadlineSeconds: 60 });
    await suite.until(
      () => suite.hosts.imagesOf(`${name}-`).every((image) => image === 'debian-12@v2'),
      'all are on trial',
    );
    const host = (await inspect(`${name}-0`, name)).host ?? '';
    suite.hosts.silent.add(host);
    await suite.fact(SUBJECTS.hostLost, { host });
    await suite.until(
      async () => (await rollout(requestId)).members.some((member) => member.reason === 'host-lost'),
      'those of the lost host are left out',
    );
    await suite.ask(SUBJECTS.rolloutRevertRequested, { rolloutId: (await rollout(requestId)).id });
    const found = await ended(requestId, 'reverted');
    expect(found.counts.restored).toBe(found.members.filter((member) => member.host !== host).length);
    suite.hosts.wake(host);
    await suite.until(async () => (await rollout(requestId)).counts.restored === 9, 'the lost host has followed');
    expect(suite.hosts.imagesOf(`${name}-`).every((image) => image === 'debian-12@v1')).toBe(true);
  });

  it('count as judged when the verdict comes while they are found to be late', async () => {
    const name = newPrefix();
    await suite.run(name, 1, { tenant: name });
    suite.hosts.fates.set(`${name}-0`, 'hangs');
    const { requestId, id } = await start({ select: { tenant: name }, canary: 0, batch: '1', deadlineSeconds: 5 });
    await suite.until(async () => (await rollout(requestId)).counts.switching === 1, 'it is on trial');
    await suite.inTransaction(async (verdict) => {
      await verdict(`UPDATE rollout_members SET phase = 'updated', changed_at = now() WHERE rollout_id = '${id}'`);
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE rollout_members%'`;
      await suite.until(async () => (await suite.rows(waiting)).length > 0, 'it is to be settled as late');
    });
    const found = await suite.until(async () => {
      const details = await rollout(requestId);
      return details.endedAt !== null && details;
    }, 'the rollout ends');
    expect(found).toMatchObject({ state: 'completed', counts: { updated: 1, failed: 0 } });
    await suite.ask(SUBJECTS.containerRemoveRequested, { name: `${name}-0`, tenant: name });
  });

  it('stay within a budget that two rollouts share when two provisioners decide at once', async () => {
    const name = newPrefix();
    await suite.promote('shared', 'v1', false);
    await suite.run(name, 2, { tenant: name });
    for (const index of [0, 1]) suite.hosts.fates.set(`${name}-${index}`, 'hangs');
    const move = (index: number, to: string): Promise<{ requestId: string }> => {
      const select = { tenant: name, containers: [`${name}-${index}`] };
      return start({ select, to, canary: 0, batch: '1', maxDownPerTenant: 1, deadlineSeconds: 200 });
    };
    const first = await move(0, 'shared@v1');
    const switching = async (): Promise<boolean> => (await rollout(first.requestId)).counts.switching > 0;
    const waiting = (how: string): Promise<readonly object[]> =>
      suite.rows(`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND ${how}`);
    await suite.inTransaction(async (lock) => {
      await lock(`SELECT 1 FROM containers WHERE name = '${name}-1' FOR NO KEY UPDATE`);
      await move(1, 'debian-12@v2');
      await suite.until(
        async () => (await waiting(`query LIKE '%FROM containers WHERE id = ANY%FOR UPDATE%'`)).length > 0,
        'the second is about to be switched',
      );
      await suite.promote('shared', 'v1');
      await suite.startProvisioner('provisioner-4');
      await suite.until(
        async () => (await waiting(`wait_event = 'advisory'`)).length > 0 || (await switching()),
        'another provisioner decides about the first',
      );
    });
    await suite.until(
      async () => (await switching()) || (await rollout(first.requestId)).wait?.reason === 'tenant-budget',
      'it is decided',
    );
    expect(await switching()).toBe(false);
    for (const index of [0, 1])
      await suite.ask(SUBJECTS.containerRemoveRequested, { name: `${name}-${index}`, tenant: name });
    await suite.provisioners.pop()?.end();
  });

  it('are not touched before every storage node has the image', async () => {
    const name = newPrefix();
    await suite.promote('late', 'v1', false);
    await suite.run(name, 2, { tenant: name });
    const { requestId } = await start({ select: { tenant: name }, to: 'late@v1', canary: 0, batch: '2' });
    await suite.until(async () => (await rollout(requestId)).wait?.reason === 'image-not-staged', 'it waits');
    expect(suite.hosts.imagesOf(`${name}-`)).toEqual(['debian-12@v1', 'debian-12@v1']);
    await suite.promote('late', 'v1');
    expect((await ended(requestId, 'completed')).counts.updated).toBe(2);
  });

  describe('on hosts with stores of their own', () => {
    const all = HOSTS.map((host): [string, string[]] => [host, ['debian-12@v1']]);
    let name: string;

    beforeEach(async () => {
      name = newPrefix();
      await suite.run(name, 6, { tenant: name });
      for (const [host, images] of all) suite.hosts.stores.set(host, images);
      await suite.until(
        async () =>
          (await suite.answer<{ items: HostStatus[] }>(QUERIES.hosts, {})).items.every(
            // Not what they reported in the case before.
            ({ images }) => images?.join() === 'debian-12@v1',
          ),
        'the hosts report their stores',
      );
    });
    afterEach(() => suite.hosts.stores.clear());

    it('are not touched before each of them has the image, whichever provisioner dies meanwhile', async () => {
      const { requestId } = await start({ select: { tenant: name }, canary: 0, batch: '6' });
      const waits = (text: string): Promise<unknown> =>
        suite.until(async () => (await rollout(requestId)).wait?.message.includes(text), text);
      await waits('waiting for 3 of 3 hosts to have debian-12@v2: host-1, host-2, host-3; until ');
      await suite.ask(hostImageReport('host-3'), {
        ...{ host: 'host-3', image: 'debian-12@v2', state: 'failed', at: new Date().toISOString() },
        ...{ reason: 'no-space', message: 'full', retryInMs: 9 },
      });
      await waits('host-3 (no-space), host-1, host-2');
      suite.hosts.stores.set('host-1', ['debian-12@v1', 'debian-12@v2']);
      await waits('waiting for 2 of 3 hosts to have debian-12@v2: host-3 (no-space), host-2;');
      await suite.provisioners.at(-1)?.end('SIGKILL');
      await suite.startProvisioner('provisioner-again');
      expect(suite.hosts.imagesOf(`${name}-`).every((image) => image === 'debian-12@v1')).toBe(true);
      for (const host of HOSTS) suite.hosts.stores.set(host, ['debian-12@v1', 'debian-12@v2']);
      expect((await ended(requestId, 'completed')).counts.updated).toBe(6);
    });

    it('are left out where the image does not come in time, and the others are moved', async () => {
      suite.hosts.stores.set('host-1', ['debian-12@v1', 'debian-12@v2']);
      suite.hosts.stores.set('host-2', ['debian-12@v1', 'debian-12@v2']);
      const { requestId } = await start({ select: { tenant: name }, canary: 0, batch: '6', stagingSeconds: 2 });
      const { members, counts } = await ended(requestId, 'completed');
      const late = members.filter(({ host }) => host === 'host-3');
      expect(late.length).toBeGreaterThan(0);
      for (const member of late) expect(member).toMatchObject({ phase: 'skipped', reason: 'image-not-staged' });
      expect(counts).toMatchObject({ updated: 6 - late.length, skipped: late.length });
    });

    it('end a rollout when none of the hosts gets the image', async () => {
      const { requestId } = await start({ select: { tenant: name }, canary: 0, batch: '6', stagingSeconds: 1 });
      expect((await ended(requestId, 'aborted')).counts).toMatchObject({ skipped: 6 });
      expect(suite.hosts.imagesOf(`${name}-`).every((image) => image === 'debian-12@v1')).toBe(true);
    });
  });

  it('leave an image that was revoked, each for its known-good one', async () => {
    const name = newPrefix();
    await suite.run(name, 3, { tenant: name });
    await suite.promote('broken', 'v1');
    const first = await start({ select: { tenant: name }, to: 'broken@v1', canary: 0, batch: '3' });
    await ended(first.requestId, 'completed');
    await suite.run(`${name}x`, 1, { tenant: name, image: 'broken@v1' });
    await suite.jetstream.publish(
      SUBJECTS.imageRevoked,
      JSON.stringify({ name: 'broken', version: 'v1', reason: 'test' }),
    );
    await suite.until(
      async () =>
        (await suite.answer<{ items: { state: string }[] }>(QUERIES.images, { name: 'broken' })).items[0]?.state ===
        'revoked',
      'it is revoked',
    );
    const { requestId } = await start({ select: { image: 'broken@v1' }, to: 'known-good', canary: 0, batch: '100%' });
    const found = await ended(requestId, 'completed');
    expect(found.counts).toMatchObject({ total: 4, updated: 3, skipped: 1 });
    expect(found.members.find((member) => member.name === `${name}x-0`)).toMatchObject({
      phase: 'skipped',
      reason: 'no-known-good',
    });
    expect(suite.hosts.imagesOf(`${name}-`)).toEqual(['debian-12@v1', 'debian-12@v1', 'debian-12@v1']);
  });

  it('that follow the default move when another one is activated, the others stay', async () => {
    const name = newPrefix();
    await suite.run(`${name}f`, 2, { tenant: name, follow: 'default' });
    await suite.run(`${name}s`, 2, { tenant: name });
    await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v3' });
    await suite.until(
      () =>
        suite.of(SUBJECTS.containerUpdated, { tenant: name }).length === 0 &&
        suite.of(SUBJECTS.rolloutStarted, { to: 'debian-12@v3' }).length > 0,
      'a rollout begins',
    );
    const { items } = await suite.answer<{ items: { id: string; to: string }[] }>(QUERIES.rollouts, {});
    expect(items.some(({ to }) => to === 'debian-12@v3')).toBe(true);
    const { items: followers } = await suite.answer<{ items: { follow?: string }[] }>(QUERIES.containers, {
      tenant: name,
    });
    expect(followers).toHaveLength(4);
    expect(suite.hosts.imagesOf(`${name}s-`)).toEqual(['debian-12@v1', 'debian-12@v1']);
  });

  it('are refused when none is selected, or the target does not exist', async () => {
    const cases: readonly [object, string][] = [
      [{ select: { tenant: 'nobody' }, to: 'debian-12@v2' }, 'nothing-selected'],
      [{ select: { tenant: 'nobody' }, to: 'nothing@v1' }, 'image-unavailable'],
      [{ select: {}, to: 'debian-12@v2' }, 'invalid-request'],
      [{ to: 'debian-12@v2' }, 'invalid-request'],
      [{ select: { tenant: 'x' }, to: 'debian-12@v2', window: { opens: 'now', minutes: 5 } }, 'invalid-request'],
    ];
    for (const [request, reason] of cases) {
      const requestId = await suite.ask(SUBJECTS.rolloutRequested, request);
      expect(await suite.fact(SUBJECTS.rolloutRejected, { requestId })).toMatchObject({ operation: 'start', reason });
    }
  });
});

it('keep their numbers as a count of all members gives them', async () => {
  expect(await suite.rows('SELECT * FROM count_drift()')).toEqual([]);
});
