/** Ports of hosts, and moves of containers that have them, with two provisioners, on a real NATS and PostgreSQL. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ContainerConfig, type ContainerStatus, QUERIES, SUBJECTS } from '@plinth/contracts';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const HOSTS = ['host-1', 'host-2', 'host-3'];

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, HOSTS, 200, {
    PLINTH_HOST_LOST_SECONDS: '6',
    PLINTH_PORT_RANGE: '30000-30039',
  });
  for (const host of HOSTS) suite.hosts.networked.add(host);
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
  await suite.until(
    async () =>
      (await suite.answer<{ items: { network: boolean }[] }>(QUERIES.hosts, {})).items.filter(({ network }) => network)
        .length === HOSTS.length,
    'all hosts offer addresses',
  );
});
afterAll(() => suite?.close());
beforeEach(() => {
  suite.forgetFacts();
});

const configOf = (name: string): ContainerConfig => {
  const found = [...suite.hosts.containers.values()].find(
    ({ config }) => config.name === name && config.desired !== 'removed',
  );
  if (!found) throw new Error(`no config of ${name}`);
  return found.config;
};
const ask = (name: string, ports: readonly object[], more: object = {}): Promise<string> =>
  suite.ask(SUBJECTS.containerRequested, { name, ports, ...more });
const statusOf = async (name: string): Promise<ContainerStatus | undefined> =>
  (await suite.answer<{ items: ContainerStatus[] }>(QUERIES.containers, {})).items.find((item) => item.name === name);

interface Held {
  readonly host: string;
  readonly port: number;
  readonly name: string;
}
const held = (): Promise<readonly Held[]> =>
  suite.rows<Held>('SELECT host, port, name FROM host_ports ORDER BY host, port');

async function remove(...names: string[]): Promise<void> {
  for (const name of names) {
    const { containerId: id } = configOf(name);
    await suite.ask(SUBJECTS.containerRemoveRequested, { id });
    await suite.fact(SUBJECTS.containerRemoved, { containerId: id });
  }
}

async function emptied(host: string): Promise<void> {
  await suite.ask(SUBJECTS.hostDrainRequested, { host });
  await suite.fact(SUBJECTS.hostDrained, { host });
}

async function back(host: string): Promise<void> {
  await suite.ask(SUBJECTS.hostUncordonRequested, { host });
  await suite.fact(SUBJECTS.hostUncordoned, { host });
}

describe('a host port', () => {
  it('that is asked for is reserved, another is given out of the range, and all are published', async () => {
    await ask('web', [
      { container: 80, host: 8080 },
      { container: 443 },
      { container: 53, host: 8080, protocol: 'udp', address: '192.0.2.1' },
    ]);
    const fact = await suite.fact(SUBJECTS.containerStarted, { name: 'web' });
    const ports = [
      { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
      { protocol: 'tcp', hostPort: expect.any(Number), containerPort: 443 },
      { protocol: 'udp', hostPort: 8080, containerPort: 53, hostAddress: '192.0.2.1' },
    ];
    expect(fact['ports']).toEqual(ports);
    expect(configOf('web')).toMatchObject({ network: 'container', ports: fact['ports'] });
    const given = configOf('web').ports?.[1]?.hostPort ?? 0;
    expect(given >= 30_000 && given <= 30_039).toBe(true);
    expect(await statusOf('web')).toMatchObject({ ports });
    expect(await held()).toHaveLength(3);
  });

  it('is given to one container of each host, however many ask at once; the others are refused with its name', async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        ask(`same-${index}`, [{ container: 80, host: 8080 }, { container: 81 }]),
      ),
    );
    const answers = (): readonly object[] => [
      ...suite.of(SUBJECTS.containerStarted),
      ...suite.of(SUBJECTS.containerRejected),
    ];
    await suite.until(() => answers().length === 20, 'all are answered');
    // One host has it already.
    const winners = suite.of(SUBJECTS.containerStarted).map(({ name }) => String(name));
    expect(winners).toHaveLength(2);
    for (const fact of suite.of(SUBJECTS.containerRejected))
      expect(fact).toMatchObject({
        reason: 'port-taken',
        message: expect.stringMatching(/8080\/tcp on host-\d by container/),
      });
    expect((await held()).map(({ name }) => name).sort()).toEqual(['web', 'web', 'web', ...winners, ...winners].sort());
    await ask('foreign', [{ container: 80, host: 8080 }], { tenant: 'other' });
    const { message } = await suite.fact(SUBJECTS.containerRejected, { name: 'foreign' });
    expect(message).toMatch(/by another tenant's container/);
    expect(message).not.toMatch(/web|same/);
    await remove(...winners);
    expect((await held()).map(({ name }) => name)).toEqual(['web', 'web', 'web']);
    await remove('web');
    expect(await held()).toEqual([]);
  });

  it('is released with a request that is refused', async () => {
    await ask('once', [{ container: 80, host: 9090 }]);
    await suite.fact(SUBJECTS.containerStarted, { name: 'once' });
    await ask('once', [{ container: 80, host: 9091 }]);
    expect(await suite.fact(SUBJECTS.containerRejected, { name: 'once' })).toMatchObject({ reason: 'name-taken' });
    expect((await held()).map(({ port }) => port)).toEqual([9090]);
    await remove('once');
  });

  it('is refused when the range is used up, and is given out again when it is released', async () => {
    for (const host of ['host-2', 'host-3']) {
      await suite.ask(SUBJECTS.hostCordonRequested, { host });
      await suite.fact(SUBJECTS.hostCordoned, { host });
    }
    await ask(
      'all',
      Array.from({ length: 39 }, (_, index) => ({ container: index + 1 })),
    );
    await suite.fact(SUBJECTS.containerStarted, { name: 'all' });
    await ask('two', [{ container: 1 }, { container: 2 }]);
    expect(await suite.fact(SUBJECTS.containerRejected, { name: 'two' })).toMatchObject({
      reason: 'ports-exhausted',
      message: expect.stringMatching(/30000-30039.*PLINTH_PORT_RANGE/),
    });
    await ask('one', [{ container: 1 }, { container: 53, protocol: 'udp' }]);
    await suite.fact(SUBJECTS.containerStarted, { name: 'one' });
    await remove('all', 'one');
    expect(await held()).toEqual([]);
    // A batch that runs out of ports leaves requests open, which are decided one by one: none is lost.
    suite.forgetFacts();
    const eight = Array.from({ length: 8 }, (_, index) => ({ container: index + 1 }));
    await Promise.all(Array.from({ length: 40 }, (_, index) => ask(`many-${index}`, eight)));
    const answers = (subject: string): readonly string[] => suite.of(subject).map(({ name }) => String(name));
    await suite.until(
      () => answers(SUBJECTS.containerStarted).length + answers(SUBJECTS.containerRejected).length === 40,
      'all are answered',
    );
    expect(suite.of(SUBJECTS.containerRejected).map(({ reason }) => reason)).toEqual(
      Array<string>(35).fill('ports-exhausted'),
    );
    await remove(...answers(SUBJECTS.containerStarted));
    expect(await suite.rows('SELECT 1 FROM addresses WHERE container_id IS NOT NULL')).toEqual([]);
    for (const host of ['host-2', 'host-3']) await back(host);
  });
});

describe('a port that a program of the host has', () => {
  afterEach(() => {
    suite.hosts.occupied = () => false;
  });

  it('is replaced where it was given out, until one is free', async () => {
    suite.hosts.occupied = (port) => port >= 30_000 && port < 30_010;
    await ask('clash', [{ container: 80 }, { container: 443, host: 8443 }, { container: 81 }]);
    const fact = await suite.fact(SUBJECTS.containerStarted, { name: 'clash' });
    const given = fact['ports'] as { hostPort: number }[];
    expect(given.map(({ hostPort }) => (hostPort >= 30_010 ? 'free' : hostPort))).toEqual(['free', 8443, 'free']);
    expect((await held()).map(({ port }) => port)).toEqual(given.map(({ hostPort }) => hostPort).sort((a, b) => a - b));
    expect(configOf('clash').ports).toEqual(fact['ports']);
    await remove('clash');
  });

  it('stays where it was asked for, and the failure is reported', async () => {
    suite.hosts.occupied = (port) => port === 8443;
    await ask('asked', [{ container: 443, host: 8443 }]);
    await suite.fact(SUBJECTS.containerFailed, { name: 'asked', reason: 'port-taken' });
    expect(configOf('asked')).toMatchObject({ generation: 1, ports: [{ hostPort: 8443 }] });
    await remove('asked');
  });
});

describe('a container that is moved', () => {
  it('keeps its address and the port that it asked for, and the one that was given out, if it is free', async () => {
    await ask('mover', [{ container: 80, host: 8080 }, { container: 443 }]);
    await suite.fact(SUBJECTS.containerStarted, { name: 'mover' });
    const before = configOf('mover');
    await emptied(before.host);
    const after = configOf('mover');
    expect(after.host).not.toBe(before.host);
    expect(after).toMatchObject({ address: before.address, tenantNumber: before.tenantNumber, ports: before.ports });
    expect((await held()).map(({ host }) => host)).toEqual([after.host, after.host]);
    await back(before.host);
    await remove('mover');
  });

  it('gets another port where the one that was given out is taken, and none other than it asked for', async () => {
    await ask('mover', [{ container: 80, host: 8080 }, { container: 443 }]);
    await suite.fact(SUBJECTS.containerStarted, { name: 'mover' });
    const before = configOf('mover');
    const given = before.ports?.[1]?.hostPort;
    // Its ports are taken wherever it could go.
    for (const name of ['stays-1', 'stays-2', 'blocks-1', 'blocks-2']) {
      await ask(name, [name.startsWith('stays') ? { container: 80, host: 8080 } : { container: 443, host: given }]);
      await suite.fact(SUBJECTS.containerStarted, { name });
    }
    await suite.ask(SUBJECTS.hostDrainRequested, { host: before.host });
    await suite.until(
      async () =>
        (
          await suite.answer<{ items: { host: string; drain: { waiting: string | null } | null }[] }>(QUERIES.hosts, {})
        ).items
          .find(({ host }) => host === before.host)
          ?.drain?.waiting?.includes('8080/tcp'),
      'the drain reports what it waits for',
    );
    expect(configOf('mover')).toEqual(before);
    const free = configOf('stays-1').host;
    await remove('stays-1');
    await suite.fact(SUBJECTS.hostDrained, { host: before.host });
    const after = configOf('mover');
    expect(after).toMatchObject({ host: free, address: before.address });
    expect(after.ports?.[0]).toEqual(before.ports?.[0]);
    expect(after.ports?.[1]).toMatchObject({ containerPort: 443, hostPort: expect.any(Number) });
    expect(after.ports?.[1]?.hostPort).not.toBe(given);
    expect((await held()).filter(({ name }) => name === 'mover').map(({ host }) => host)).toEqual([free, free]);
    await back(before.host);
    await remove('mover', 'stays-2', 'blocks-1', 'blocks-2');
    expect(await held()).toEqual([]);
  });

  it('from a lost host keeps its address and its ports, which are free for others there', async () => {
    await ask('survivor', [{ container: 80, host: 8080 }]);
    await suite.fact(SUBJECTS.containerStarted, { name: 'survivor' });
    const before = configOf('survivor');
    suite.hosts.leases.set(before.host, { renewal: 'a'.repeat(32), unrenewedMs: 20_000 });
    suite.hosts.silent.add(before.host);
    await suite.fact(SUBJECTS.containerMoved, { containerId: before.containerId, reason: 'host-lost' });
    await suite.until(() => configOf('survivor').host !== before.host, 'it is elsewhere');
    const after = configOf('survivor');
    expect(after).toMatchObject({ address: before.address, ports: before.ports });
    expect((await held()).map(({ host }) => host)).toEqual([after.host]);
    suite.hosts.leases.delete(before.host);
    suite.hosts.wake(before.host);
    await suite.fact(SUBJECTS.hostRecovered, { host: before.host });
    await remove('survivor');
    expect(await held()).toEqual([]);
  });

  it('and one that is removed while its host is lost, gives everything back', async () => {
    await ask('last', [{ container: 80, host: 8080 }]);
    await suite.fact(SUBJECTS.containerStarted, { name: 'last' });
    const { host, containerId } = configOf('last');
    suite.hosts.leases.set(host, { renewal: 'b'.repeat(32), unrenewedMs: 0 });
    suite.hosts.silent.add(host);
    await suite.fact(SUBJECTS.hostLost, { host });
    await suite.ask(SUBJECTS.containerRemoveRequested, { id: containerId, keepData: true });
    suite.hosts.leases.set(host, { renewal: 'b'.repeat(32), unrenewedMs: 20_000 });
    await suite.fact(SUBJECTS.containerRemoved, { containerId });
    expect(await held()).toEqual([]);
    expect(await suite.rows('SELECT 1 FROM addresses WHERE container_id IS NOT NULL')).toEqual([]);
    expect(
      (await suite.answer<{ items: ContainerStatus[] }>(QUERIES.containers, { all: true })).items.find(
        ({ id }) => id === containerId,
      ),
    ).toMatchObject({ state: 'removed', address: null, ports: [] });
  });
});

describe('a change', () => {
  const change = (name: string, request: object): Promise<string> =>
    suite.ask(SUBJECTS.containerChangeRequested, { name, ...request });
  /** On a busy machine the storage node may be silent for a moment: then it is asked for again. */
  async function runs(name: string, ports: readonly object[] = [], more: object = {}): Promise<void> {
    for (let ended = false; !ended;) {
      const requestId = await ask(name, ports, { network: 'container', ...more });
      ended =
        (await suite.until(
          () =>
            suite.of(SUBJECTS.containerStarted, { name }).length > 0
              ? 'runs'
              : suite.of(SUBJECTS.containerRejected, { requestId }).length > 0 && 'rejected',
          `${name} runs`,
        )) === 'runs';
    }
  }
  const allocated = async (host: string): Promise<number> =>
    Number((await suite.rows<{ m: string }>(`SELECT allocated_memory AS m FROM hosts WHERE host = '${host}'`))[0]?.m);

  it('of ports is one transaction, keeps those that were given out, and is answered when the host has it', async () => {
    await runs('changed', [{ container: 80 }]);
    const { host, ports: [given] = [] } = configOf('changed');
    const first = await change('changed', { publish: [{ container: 443, host: 9443 }] });
    const asked = { protocol: 'tcp', hostPort: 9443, containerPort: 443 };
    expect(await suite.fact(SUBJECTS.containerChanged, { requestId: first })).toMatchObject({
      name: 'changed',
      generation: 2,
      applied: ['ports'],
      pending: [],
      ports: [given, asked],
    });
    // Again, and under another id: it is so already.
    const same = await change('changed', { publish: [{ container: 443, host: 9443 }, { container: 80 }] });
    expect(await suite.fact(SUBJECTS.containerChanged, { requestId: same })).toMatchObject({
      generation: 2,
      applied: [],
      ports: [given, asked],
    });
    const less = await change('changed', { unpublish: [{ container: 80 }] });
    expect(await suite.fact(SUBJECTS.containerChanged, { requestId: less })).toMatchObject({ ports: [asked] });
    expect((await held()).filter(({ name }) => name === 'changed')).toEqual([{ host, port: 9443, name: 'changed' }]);
    expect(suite.of(SUBJECTS.containerStarted, { name: 'changed' })).toHaveLength(1);
    await remove('changed');
    expect((await held()).filter(({ name }) => name === 'changed')).toEqual([]);
  });

  it('is refused as a whole when another container on its host has a port, and names it', async () => {
    await runs('holder', [{ container: 80, host: 9080 }], { tenant: 'acme' });
    const { host } = configOf('holder');
    for (const other of HOSTS.filter((name) => name !== host))
      await suite.ask(SUBJECTS.hostCordonRequested, { host: other });
    await Promise.all(
      HOSTS.filter((name) => name !== host).map((other) => suite.fact(SUBJECTS.hostCordoned, { host: other })),
    );
    await runs('seeker', [], { tenant: 'acme' });
    const before = await allocated(host);
    const id = await change('seeker', {
      tenant: 'acme',
      limits: { memoryBytes: 512 * 1024 ** 2 },
      publish: [{ container: 81 }, { container: 80, host: 9080 }],
    });
    const rejected = await suite.fact(SUBJECTS.containerRejected, { requestId: id });
    expect(rejected).toMatchObject({ operation: 'change', reason: 'port-taken', name: 'seeker' });
    expect(rejected['message']).toContain(`9080/tcp on ${host} by container holder`);
    expect(await allocated(host)).toBe(before);
    expect((await held()).filter(({ name }) => name === 'seeker')).toEqual([]);
    expect(configOf('seeker').generation).toBe(1);
    for (const other of HOSTS.filter((name) => name !== host)) await back(other);
    await remove('seeker', 'holder');
  });

  it('of limits reserves the room on its host, and says what waits for a start', async () => {
    // One on each host, so that no host is empty.
    for (const index of HOSTS.keys()) await runs(`fill-${index}`);
    await runs('sized');
    const { host, limits } = configOf('sized');
    const before = await allocated(host);
    const waits = { part: 'open-files' as const, message: 'its next start has it' };
    suite.hosts.pending.set('sized', [waits, { part: 'io', message: 'not asked for' }]);
    const id = await change('sized', { limits: { memoryBytes: limits.memoryBytes + 1024 ** 2, openFiles: 99 } });
    expect(await suite.fact(SUBJECTS.containerChanged, { requestId: id })).toMatchObject({
      applied: ['memory'],
      pending: [waits],
    });
    expect(await allocated(host)).toBe(before + 1024 ** 2);
    const huge = await change('sized', { limits: { memoryBytes: 1024 ** 4 } });
    expect(await suite.fact(SUBJECTS.containerRejected, { requestId: huge })).toMatchObject({ reason: 'no-capacity' });
    const fresh = await change('sized', { restart: true, limits: { openFiles: 100 } });
    expect(await suite.fact(SUBJECTS.containerChanged, { requestId: fresh })).toMatchObject({
      generation: 3,
      applied: ['open-files'],
      pending: [],
    });
    await remove('sized');
    expect(await allocated(host)).toBe(before - limits.memoryBytes);
    await remove(...HOSTS.map((_, index) => `fill-${index}`));
    const gone = await change('sized', { restart: true });
    expect(await suite.fact(SUBJECTS.containerRejected, { requestId: gone })).toMatchObject({
      operation: 'change',
      reason: 'container-not-found',
    });
  });

  it('of one that is stopped is answered too, two that follow each other each for itself', async () => {
    await runs('still');
    const { containerId: id, host } = configOf('still');
    await suite.ask(SUBJECTS.containerStopRequested, { id });
    await suite.fact(SUBJECTS.containerStopped, { containerId: id });
    suite.hosts.deaf.add(host);
    const [one, two] = [
      await change('still', { limits: { pids: 99 } }),
      await change('still', { egress: { policy: 'none' } }),
    ];
    await suite.until(
      async () => (await suite.rows('SELECT 1 FROM container_changes')).length === 2,
      'both changes are decided',
    );
    suite.hosts.wake(host);
    const later = 'it does not run; its next start has it';
    expect(await suite.fact(SUBJECTS.containerChanged, { requestId: one })).toMatchObject({
      applied: [],
      pending: [{ part: 'pids', message: later }],
    });
    expect(await suite.fact(SUBJECTS.containerChanged, { requestId: two })).toMatchObject({
      pending: [{ part: 'egress', message: later }],
    });
    expect(await suite.rows('SELECT 1 FROM container_changes')).toEqual([]);
    await remove('still');
  });
});
