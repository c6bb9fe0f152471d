/** Limits of containers, from the request to the fact that one was reached; on a real NATS and PostgreSQL. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import {
  type ContainerConfig,
  type ContainerDetails,
  type HostStatus,
  type Page,
  type PlacementPreview,
  QUERIES,
  type StorageStatus,
  SUBJECTS,
} from '@plinth/contracts';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const MIB = 1024 ** 2;
let suite: ProvisionerSuite;

beforeAll(async () => {
  suite = await ProvisionerSuite.open(1, ['host-1', 'host-2'], 100);
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
});
afterAll(() => suite?.close());

const details = (name: string): Promise<ContainerDetails> =>
  suite.answer<ContainerDetails>(QUERIES.container, { name });

it('of a disk is refused where no host holds it, and decides which host is chosen where one does', async () => {
  const limits = { diskBytes: 64 * MIB };
  await suite.ask(SUBJECTS.containerRequested, { name: 'early', limits });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'early' })).toMatchObject({
    reason: 'disk-limit-not-offered',
  });
  suite.hosts.holdingDisk.add('host-2');
  await suite.until(async () => {
    const { items } = await suite.answer<Page<HostStatus>>(QUERIES.hosts, {});
    return items.some(({ host, diskLimits, ioLimits }) => host === 'host-2' && diskLimits[0] === 'sn-1' && ioLimits[0]);
  }, 'the heartbeat of host-2');
  for (const name of ['one', 'two', 'three']) {
    await suite.ask(SUBJECTS.containerRequested, { name, limits });
    expect(await suite.fact(SUBJECTS.containerStarted, { name })).toMatchObject({ host: 'host-2' });
  }
  expect((await details('one')).config?.limits).toMatchObject({ diskBytes: 64 * MIB, openFiles: 65_536 });
});

it('of input and output, and of bandwidth: no host gets a container that says that it can not hold it', async () => {
  const io = { weight: 50, readBytesPerSecond: 65_536 };
  const missing = async (host: string): Promise<unknown> =>
    (await suite.answer<Page<HostStatus>>(QUERIES.hosts, {})).items.find((item) => item.host === host)?.missingLimits;
  // Agents that do not say what they can't hold get them as before.
  await suite.ask(SUBJECTS.containerRequested, { name: 'as-before', limits: { io } });
  await suite.fact(SUBJECTS.containerStarted, { name: 'as-before' });
  suite.hosts.missing.set('host-1', ['io-weight', 'bandwidth']).set('host-2', ['io-maxima']);
  await suite.until(
    async () => (await missing('host-1')) !== undefined && String(await missing('host-2')) === 'io-maxima',
    'the heartbeats of both',
  );
  await suite.until(async () => String(await missing('host-1')) === 'io-weight,bandwidth', 'that of host-1');
  for (const name of ['weighed-1', 'weighed-2', 'weighed-3']) {
    await suite.ask(SUBJECTS.containerRequested, { name, limits: { io: { weight: 50 } } });
    expect(await suite.fact(SUBJECTS.containerStarted, { name })).toMatchObject({ host: 'host-2' });
  }
  await suite.ask(SUBJECTS.containerRequested, { name: 'both', limits: { io } });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'both' })).toMatchObject({
    reason: 'limits-not-offered',
    message: expect.stringMatching(/can hold a container to io-weight and io-maxima: leave it out; plinth hosts/),
  });
  const request = { limits: { io } };
  const preview = await suite.answer<PlacementPreview>(QUERIES.placement, { request });
  expect(preview).toMatchObject({ excluded: [{ filter: 'limits', count: 2 }] });
  // What a container has already may be changed, what its host can't hold is not promised.
  await suite.ask(SUBJECTS.containerChangeRequested, {
    name: 'weighed-1',
    limits: { io: { readBytesPerSecond: 4096 } },
  });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'weighed-1' })).toMatchObject({
    operation: 'change',
    reason: 'limits-not-offered',
  });
  suite.hosts.missing.clear();
  await suite.until(async () => String(await missing('host-2')) === '', 'the heartbeats of older agents');
});

it('of storage: nothing new is placed where less is free than a container may need', async () => {
  const seen = async (free: number): Promise<boolean> =>
    (await suite.answer<Page<StorageStatus>>(QUERIES.storage, {})).items[0]?.freeBytes === free;
  suite.hosts.freeBytes = 32 * MIB - 1;
  await suite.until(() => seen(32 * MIB - 1), 'the storage node is full');
  await suite.ask(SUBJECTS.containerRequested, { name: 'too-much' });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'too-much' })).toMatchObject({
    reason: 'no-storage-space',
    message: expect.stringMatching(/storage node with 32 MiB free; .*plinth storage shows/),
  });
  suite.hosts.freeBytes = 1e12;
  await suite.until(() => seen(1e12), 'the storage node has space');
});

it('decide by whose users a container has, and it is refused where no host gives them', async () => {
  suite.hosts.users = { ownUsers: ['sn-2'], hostUsers: 'never' };
  await suite.until(async () => {
    const { items } = await suite.answer<Page<HostStatus>>(QUERIES.hosts, {});
    return items.every(({ ownUsers, hostUsers }) => ownUsers?.[0] === 'sn-2' && hostUsers === 'never');
  }, 'the heartbeats of both');
  await suite.ask(SUBJECTS.containerRequested, { name: 'nowhere' });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'nowhere' })).toMatchObject({
    reason: 'own-users-not-offered',
  });
  await suite.ask(SUBJECTS.containerRequested, { name: 'nowhere-either', hostUsers: true });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'nowhere-either' })).toMatchObject({
    reason: 'host-users-not-offered',
  });
  suite.hosts.users = {};
  await suite.until(async () => {
    const { items } = await suite.answer<Page<HostStatus>>(QUERIES.hosts, {});
    return items.every(({ ownUsers }) => ownUsers === null);
  }, 'the heartbeats of older agents');
});

it('that was reached becomes a fact, and is in the status until it is removed', async () => {
  await suite.ask(SUBJECTS.containerRequested, { name: 'hungry' });
  const { containerId } = (await suite.fact(SUBJECTS.containerStarted, {
    name: 'hungry',
  })) as unknown as ContainerConfig;
  expect((await details('hungry')).limitsReached).toEqual([]);
  const at = new Date().toISOString();
  const memory = { limit: 'memory' as const, value: 64 * MIB, count: 3, since: at, at };
  const pids = { limit: 'pids' as const, value: 256, count: 1, since: at, at };
  suite.hosts.reach(containerId, memory);
  suite.hosts.reach(containerId, pids);
  suite.hosts.reach(containerId, { ...memory, count: 7 });
  await suite.until(() => suite.of(SUBJECTS.containerLimited, { containerId }).length === 3, 'three facts');
  expect(suite.of(SUBJECTS.containerLimited, { containerId })[0]).toMatchObject({ name: 'hungry', reached: memory });
  const found = await details('hungry');
  expect(found).toMatchObject({ state: 'running', message: null, limitsReached: [pids, { ...memory, count: 7 }] });
  expect(found.history.filter(({ kind }) => kind === 'limited')).toHaveLength(3);
});

it('of bandwidth needs a host that gives containers an address', async () => {
  const bandwidth = { sendBitsPerSecond: 1_000_000 };
  await suite.ask(SUBJECTS.containerRequested, { name: 'slow', bandwidth });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'slow' })).toMatchObject({
    reason: 'network-not-offered',
  });
});

const labelsOf = async (name: string): Promise<HostStatus['labels'] | undefined> =>
  (await suite.answer<Page<HostStatus>>(QUERIES.hosts, {})).items.find(({ host }) => host === name)?.labels;

it('of labels: a container is where those of its host are as it asks for, also those that operators set', async () => {
  const constraints = [{ key: 'gpu', operator: 'in', values: ['yes'] }];
  await suite.ask(SUBJECTS.containerRequested, { name: 'no-gpu', constraints });
  expect(await suite.fact(SUBJECTS.containerRejected, { name: 'no-gpu' })).toMatchObject({
    reason: 'labels-not-met',
    message: expect.stringMatching(/none of the 2 ready hosts.* meets gpu=yes; plinth hosts --labels/),
  });
  suite.hosts.hostLabels.set('host-1', { gpu: 'yes', arch: 'amd64' });
  await suite.until(async () => (await labelsOf('host-1'))?.['gpu'] === 'yes', 'the labels of host-1 are known');
  for (const name of ['gpu-1', 'gpu-2', 'gpu-3']) {
    await suite.ask(SUBJECTS.containerRequested, { name, constraints });
    expect(await suite.fact(SUBJECTS.containerStarted, { name })).toMatchObject({ host: 'host-1' });
  }
  expect((await details('gpu-1')).config?.constraints).toEqual(constraints);
  // An operator's are stronger, and heartbeats do not change them.
  const change = { host: 'host-1', set: { gpu: 'broken', rack: 'r1' } };
  const requestId = await suite.ask(SUBJECTS.hostLabelRequested, change);
  expect(await suite.fact(SUBJECTS.hostLabelled, { requestId })).toMatchObject({
    labels: { gpu: 'broken', rack: 'r1', arch: 'amd64' },
  });
  await suite.ask(SUBJECTS.hostLabelRequested, { host: 'host-2', set: { gpu: 'yes' } });
  suite.hosts.hostLabels.set('host-1', { gpu: 'yes', arch: 'amd64', later: 'yes' });
  await suite.until(async () => (await labelsOf('host-1'))?.['later'] === 'yes', 'a later heartbeat of host-1');
  expect(await labelsOf('host-1')).toEqual({ gpu: 'broken', rack: 'r1', arch: 'amd64', later: 'yes' });
  await suite.ask(SUBJECTS.containerRequested, { name: 'gpu-4', constraints });
  expect(await suite.fact(SUBJECTS.containerStarted, { name: 'gpu-4' })).toMatchObject({ host: 'host-2' });
  await suite.ask(SUBJECTS.hostLabelRequested, { host: 'host-1', remove: ['gpu', 'rack'] });
  await suite.until(async () => (await labelsOf('host-1'))?.['gpu'] === 'yes', 'the label is that of the agent again');
});

it.each([
  ['an unknown host', { host: 'nowhere', set: { gpu: 'yes' } }, 'host-not-found'],
  ['what every host has', { host: 'host-1', set: { datacenter: 'x' } }, 'invalid-request'],
  [
    'more labels than a host may have',
    { host: 'host-1', set: Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`label-${index}`, 'x'])) },
    'too-many-labels',
  ],
])('of labels: a change of %s is refused', async (_what, change, reason) => {
  const requestId = await suite.ask(SUBJECTS.hostLabelRequested, change);
  expect(await suite.fact(SUBJECTS.hostRejected, { requestId })).toMatchObject({ operation: 'label', reason });
});

it('is explained: with the container that was placed, and without one', async () => {
  await suite.ask(SUBJECTS.containerRequested, { name: 'explained' });
  const { host } = await suite.fact(SUBJECTS.containerStarted, { name: 'explained' });
  expect((await details('explained')).placement).toMatchObject({
    host,
    policy: 'least-loaded',
    hosts: 2,
    lookedAt: 2,
    scores: [{ host, score: expect.any(Number) }, { score: expect.any(Number) }],
    excluded: [],
  });
  const before = await suite.rows('SELECT count(*) AS of, sum(allocated_containers) AS given FROM containers, hosts');
  const ask = (request: object, about?: string): Promise<PlacementPreview> =>
    suite.answer<PlacementPreview>(QUERIES.placement, { request, host: about });
  const fits = await ask({ constraints: [{ key: 'host', operator: 'in', values: ['host-2'] }] }, 'host-1');
  expect(fits).toMatchObject({
    host: 'host-2',
    reason: null,
    image: 'debian-12@v1',
    hosts: 2,
    fitting: 1,
    ranked: [{ host: 'host-2', parts: expect.arrayContaining([{ name: 'load', weight: 0.4, value: 1 }]) }],
    excluded: [{ filter: 'labels', count: 1, hosts: ['host-1'], why: 'it has host=host-1, asked for was host=host-2' }],
    explained: { host: 'host-1', fits: false, filter: 'labels' },
  });
  expect(await ask({ limits: { memoryBytes: 1024 ** 4 } }, 'host-2')).toMatchObject({
    host: null,
    reason: 'no-capacity',
    excluded: [{ filter: 'room', count: 2, why: 'it has too little left: memory' }],
    explained: { host: 'host-2', fits: false, filter: 'room' },
  });
  expect(await ask({ name: 'explained' }, 'nowhere')).toMatchObject({
    host: null,
    reason: 'name-taken',
    explained: { host: 'nowhere', fits: false, why: expect.stringMatching(/no such host/) },
  });
  expect(await suite.rows('SELECT count(*) AS of, sum(allocated_containers) AS given FROM containers, hosts')).toEqual(
    before,
  );
});
