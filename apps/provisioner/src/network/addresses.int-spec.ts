/** Addresses of containers and numbers of tenants, with two provisioners, on a real NATS and PostgreSQL. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ContainerConfig, type ContainerStatus, QUERIES, SUBJECTS } from '@plinth/contracts';
import { headers } from 'nats';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

const HOSTS = ['host-1', 'host-2', 'plain-1'];
const REQUESTS = 600;
const AT_ONCE = 200;

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, HOSTS, 5_000, { PLINTH_PLACEMENT: 'round-robin' });
  for (const host of ['host-1', 'host-2']) suite.hosts.networked.add(host);
  await suite.promote('debian-12', 'v1');
  await suite.promote('debian-12', 'v2');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
  await suite.until(async () => (await offering()).length === 2, 'two hosts offer addresses');
});
afterAll(() => suite?.close());
beforeEach(() => {
  suite.forgetFacts();
});

const offering = async (): Promise<readonly unknown[]> =>
  (await suite.answer<{ items: { network: boolean }[] }>(QUERIES.hosts, {})).items.filter(({ network }) => network);
const configOf = (name: string): ContainerConfig => {
  const found = [...suite.hosts.containers.values()].find(({ config }) => config.name === name);
  if (!found) throw new Error(`no config of ${name}`);
  return found.config;
};
const started = (name: string): Promise<Record<string, unknown>> => suite.fact(SUBJECTS.containerStarted, { name });
/** Addresses in use and containers that have them, as the database has both. */
const inUse = (): Promise<readonly { ipv4: string; given: string | null; had: string | null }[]> =>
  suite.rows(
    `SELECT coalesce(host(a.ipv4), c.ipv4) AS ipv4, a.container_id AS given, c.id AS had
       FROM (SELECT * FROM addresses WHERE container_id IS NOT NULL) a
       FULL JOIN (SELECT id, config->'address'->>'ipv4' AS ipv4 FROM containers
                   WHERE state <> 'removed' AND config ? 'address') c ON c.ipv4 = host(a.ipv4)`,
  );

async function remove(name: string): Promise<void> {
  await suite.ask(SUBJECTS.containerRemoveRequested, { name });
  await suite.fact(SUBJECTS.containerRemoved, { name });
}

describe('a new container', () => {
  it('has an address, its tenant a number, and both are in what is published', async () => {
    await suite.ask(SUBJECTS.containerRequested, { name: 'first', network: 'container', egress: { policy: 'none' } });
    const fact = await started('first');
    expect(fact['address']).toEqual({
      ipv4: expect.stringMatching(/^10\.64\.0\.\d+$/),
      ipv6: expect.stringMatching(/^fd00:706c:696e::a40:[0-9a-f]+$/),
    });
    const config = configOf('first');
    expect(config).toMatchObject({ network: 'container', address: fact['address'], egress: { policy: 'none' } });
    expect(config.tenantNumber).toBe(1);
    const [status] = (await suite.answer<{ items: ContainerStatus[] }>(QUERIES.containers, {})).items;
    expect(status).toMatchObject({ name: 'first', address: fact['address'], ports: [] });
  });

  it('keeps its address while it is stopped, started, restarted and updated', async () => {
    const { address, containerId: id } = configOf('first');
    await suite.ask(SUBJECTS.containerStopRequested, { id });
    await suite.fact(SUBJECTS.containerStopped, { containerId: id });
    await suite.ask(SUBJECTS.containerStartRequested, { id });
    await started('first');
    await suite.ask(SUBJECTS.containerRestartRequested, { id });
    await suite.until(() => configOf('first').generation === 4, 'it is restarted');
    await suite.ask(SUBJECTS.containerUpdateRequested, { id, to: 'debian-12@v2', soakSeconds: 0 });
    await suite.fact(SUBJECTS.containerUpdated, { containerId: id });
    suite.hosts.fates.set('first', 'fails');
    await suite.ask(SUBJECTS.containerUpdateRequested, { id, to: 'debian-12@v1', soakSeconds: 0 });
    await suite.fact(SUBJECTS.containerReverted, { containerId: id });
    expect(configOf('first')).toMatchObject({ address, tenantNumber: 1 });
    for (const fact of suite.of(SUBJECTS.containerStarted)) expect(fact['address']).toEqual(address);
  });

  it('does not get the address of one that was just removed', async () => {
    const { address } = configOf('first');
    await remove('first');
    expect(await inUse()).toEqual([]);
    await suite.ask(SUBJECTS.containerRequested, { name: 'second', network: 'container' });
    await started('second');
    expect(configOf('second').address).not.toEqual(address);
    expect(configOf('second').tenantNumber).toBe(1);
    await remove('second');
  });

  it('has an address on hosts that offer it, and none elsewhere, unless it asks for one', async () => {
    await suite.run('any', 6);
    const any = [...suite.hosts.containers.values()].filter(({ config }) => config.name.startsWith('any'));
    expect(new Set(any.map(({ config }) => config.host))).toEqual(new Set(HOSTS));
    for (const { config } of any) {
      const offers = config.host !== 'plain-1';
      expect([config.network, config.address !== undefined]).toEqual([offers ? 'container' : 'isolated', offers]);
    }
    await suite.run('sure', 6, { network: 'container' });
    const sure = [...suite.hosts.containers.values()].filter(({ config }) => config.name.startsWith('sure'));
    expect(new Set(sure.map(({ config }) => config.host))).toEqual(new Set(['host-1', 'host-2']));
    await suite.run('alone', 3, { network: 'isolated' });
    expect(configOf('alone-0')).not.toHaveProperty('address');
    const used = await inUse();
    expect(used.every(({ given, had }) => given === had)).toBe(true);
    expect(used).toHaveLength(any.filter(({ config }) => config.address).length + sure.length);
  });

  it('that is refused keeps no address', async () => {
    const before = await inUse();
    await suite.ask(SUBJECTS.containerRequested, { name: 'sure-0', network: 'container' });
    expect(await suite.fact(SUBJECTS.containerRejected, { name: 'sure-0' })).toMatchObject({ reason: 'name-taken' });
    await suite.ask(SUBJECTS.containerRequested, { name: 'big', limits: { memoryBytes: 1024 ** 4 } });
    expect(await suite.fact(SUBJECTS.containerRejected, { name: 'big' })).toMatchObject({ reason: 'no-capacity' });
    expect(await inUse()).toHaveLength(before.length);
  });
});

it('new tenants get numbers in turn, each tenant one, however many requests arrive at once', async () => {
  const tenants = Array.from({ length: 30 }, (_, index) => `tenant-${index}`);
  await Promise.all(
    tenants.flatMap((tenant) =>
      ['a', 'b', 'c'].map((name) => suite.ask(SUBJECTS.containerRequested, { name, tenant, network: 'container' })),
    ),
  );
  await suite.until(() => suite.of(SUBJECTS.containerStarted).length >= 90, 'all run');
  const numbers = new Map<string, Set<number | undefined>>();
  for (const { config } of suite.hosts.containers.values())
    if (tenants.includes(config.tenant))
      numbers.set(config.tenant, (numbers.get(config.tenant) ?? new Set()).add(config.tenantNumber));
  expect([...numbers.values()].every((item) => item.size === 1)).toBe(true);
  expect([...numbers.values()].map(([number]) => number).sort((a, b) => Number(a) - Number(b))).toEqual(
    tenants.map((_, index) => index + 2),
  );
});

it('many requests, a provisioner killed among them, give no address twice and lose none', async () => {
  const asked = new Map<string, string>();
  const send = async (id: string, name: string): Promise<void> => {
    const envelope = headers();
    envelope.set('ce-id', id);
    await suite.jetstream.publish(
      SUBJECTS.containerRequested,
      JSON.stringify({ name, tenant: 'crowd', network: 'container' }),
      { headers: envelope },
    );
  };
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, (_, index) => `crowd-${sent + index}`);
    for (const name of some) asked.set(name, Buffer.from(name.padEnd(16, '.')).toString('hex'));
    await Promise.all(some.map((name) => send(asked.get(name) ?? '', name)));
    if (sent === AT_ONCE) {
      await suite.provisioners[0]?.end('SIGKILL');
      void suite.startProvisioner('provisioner-1');
    }
  }
  const answered = (): number =>
    new Set(suite.of(SUBJECTS.containerStarted, { tenant: 'crowd' }).map(({ name }) => name)).size;
  await suite.until(() => answered() === REQUESTS, 'all run', 240);
  const used = await inUse();
  expect(used.filter(({ given, had }) => given !== had)).toEqual([]);
  const crowd = [...suite.hosts.containers.values()].filter(({ config }) => config.tenant === 'crowd');
  expect(crowd).toHaveLength(REQUESTS);
  expect(new Set(crowd.map(({ config }) => config.address?.ipv4)).size).toBe(REQUESTS);
  expect(new Set(crowd.map(({ config }) => config.tenantNumber)).size).toBe(1);
  // Repeated requests change nothing.
  const sample = crowd.slice(0, 20).map(({ config }) => config);
  await Promise.all(sample.map(({ name }) => send(asked.get(name) ?? '', name)));
  await suite.ask(SUBJECTS.containerRequested, { name: 'after', tenant: 'crowd', network: 'container' });
  await started('after');
  for (const config of sample) expect(configOf(config.name)).toEqual(config);
  expect(await inUse()).toHaveLength(used.length + 1);
});

it('addresses of containers that are removed are all given back', async () => {
  const names = [...suite.hosts.containers.values()].filter(({ config }) => config.tenant === 'crowd');
  await Promise.all(
    names.map(({ config }) => suite.ask(SUBJECTS.containerRemoveRequested, { id: config.containerId })),
  );
  await suite.until(
    async () =>
      (await suite.rows(`SELECT 1 FROM containers WHERE tenant = 'crowd' AND state <> 'removed'`)).length === 0,
    'all are removed',
    240,
  );
  const used = await inUse();
  expect(used.filter(({ given, had }) => given !== had)).toEqual([]);
  expect(await suite.rows('SELECT 1 FROM host_ports')).toEqual([]);
});
