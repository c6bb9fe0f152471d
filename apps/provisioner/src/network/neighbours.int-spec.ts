/** What hosts are sent of the containers of their tenants, with two provisioners, on a real NATS and PostgreSQL. */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ContainerConfig,
  desiredNeighbours,
  desiredTenantEgress,
  type HostStatus,
  type Neighbour,
  NEIGHBOUR_SHARDS,
  neighbourShard,
  QUERIES,
  STREAMS,
  SUBJECTS,
  type TenantDetails,
  type TenantEgress,
  type TenantNeighbours,
  type TenantPolicy,
} from '@plinth/contracts';
import { NatsError } from 'nats';
import { ProvisionerSuite } from '../testing/provisioner-suite.js';

/** The bus's error code of a subject without a message. */
const NO_MESSAGE = 10037;

const HOSTS = ['host-1', 'host-2', 'host-3'];
const ADDRESSES = new Map([
  ['host-1', '192.0.2.1'],
  ['host-2', '192.0.2.2'],
  ['host-3', '2001:db8::3'],
]);

let suite: ProvisionerSuite;
beforeAll(async () => {
  suite = await ProvisionerSuite.open(2, HOSTS, 5_000, {
    PLINTH_HOST_LOST_SECONDS: '10',
    PLINTH_PLACEMENT: 'round-robin',
  });
  for (const host of HOSTS) suite.hosts.networked.add(host);
  for (const [host, address] of ADDRESSES) suite.hosts.addresses.set(host, address);
  await suite.promote('debian-12', 'v1');
  await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
  await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
  await suite.until(async () => (await hosts()).filter(({ address }) => address !== null).length === 3, 'hosts report');
});
afterAll(() => suite?.close());
beforeEach(() => {
  suite.forgetFacts();
});

const hosts = async (): Promise<readonly HostStatus[]> =>
  (await suite.answer<{ items: HostStatus[] }>(QUERIES.hosts, {})).items;
const configOf = (name: string): ContainerConfig => {
  const found = [...suite.hosts.containers.values()].find(({ config }) => config.name === name);
  if (!found) throw new Error(`no config of ${name}`);
  return found.config;
};

/** The present values of a host for a tenant: those that the bus would give an agent that starts now. */
async function received(host: string, tenantNumber: number): Promise<readonly TenantNeighbours[]> {
  const jsm = await suite.connection.jetstreamManager();
  const values: TenantNeighbours[] = [];
  const filter = desiredNeighbours(host, tenantNumber, '*');
  const info = await jsm.streams.info(STREAMS.desired.name, { subjects_filter: filter });
  for (const subject of Object.keys(info.state.subjects ?? {})) {
    if (subject === desiredTenantEgress(host, tenantNumber)) continue;
    const message = await jsm.streams
      .getMessage(STREAMS.desired.name, { last_by_subj: subject })
      .catch((error: unknown) => {
        // A provisioner removed it since the list was read.
        if (error instanceof NatsError && error.api_error?.err_code === NO_MESSAGE) return undefined;
        throw error;
      });
    if (message === undefined) continue;
    const value = message.json<TenantNeighbours>();
    expect(subject).toBe(desiredNeighbours(host, tenantNumber, value.shard));
    for (const { id } of value.containers) expect(neighbourShard(id)).toBe(value.shard);
    values.push(value);
  }
  return values;
}

async function neighbours(host: string, tenantNumber: number): Promise<Map<string, Neighbour>> {
  const all = (await received(host, tenantNumber)).flatMap(({ containers }) => containers);
  return new Map(all.map((neighbour) => [neighbour.name, neighbour]));
}

/** Undefined: the bus has no value, or one without a policy. */
async function policyOf(host: string, tenantNumber: number): Promise<TenantPolicy | undefined> {
  const jsm = await suite.connection.jetstreamManager();
  const subject = desiredTenantEgress(host, tenantNumber);
  const message = await jsm.streams
    .getMessage(STREAMS.desired.name, { last_by_subj: subject })
    .catch((error: unknown) => {
      if (error instanceof NatsError && error.api_error?.err_code === NO_MESSAGE) return undefined;
      throw error;
    });
  return message?.json<TenantEgress>().policy;
}

async function effects(tenant: string): Promise<(readonly [string, number, string])[]> {
  const { hosts: found } = await suite.answer<TenantDetails>(QUERIES.tenant, { tenant });
  return found.map(({ host, containers, effect }) => [host, containers, effect] as const);
}

/** What the database says that each host has to know. */
async function wanted(tenant: string): Promise<Map<string, Neighbour>> {
  const rows = await suite.rows<{ config: ContainerConfig; running: boolean; address: string | null }>(
    `SELECT c.config, h.address, c.state IN ('starting', 'running', 'stopping') AND c.config->>'desired' = 'running'
            AS running FROM containers c LEFT JOIN hosts h ON h.host = c.host
      WHERE c.tenant = '${tenant}' AND c.state <> 'removed'`,
  );
  return new Map(
    rows.map(({ config, running, address }) => [
      config.name,
      {
        id: config.containerId,
        name: config.name,
        host: config.host,
        ...(address !== null && { hostAddress: address }),
        ipv4: config.address?.ipv4 ?? '',
        ipv6: config.address?.ipv6 ?? '',
        running,
      },
    ]),
  );
}

const sorted = (found: ReadonlyMap<string, Neighbour>): readonly (readonly [string, Neighbour])[] =>
  [...found].sort(([a], [b]) => (a < b ? -1 : 1));

/** Every host that has one of the tenant's containers knows all of them, the others none. */
async function settled(tenant: string, tenantNumber: number): Promise<void> {
  let last: unknown;
  await suite
    .until(
      async () => {
        const want = await wanted(tenant);
        const serving = new Set([...want.values()].map(({ host }) => host));
        last = [];
        for (const host of HOSTS) {
          const found = await received(host, tenantNumber);
          const should = serving.has(host) ? want : new Map<string, Neighbour>();
          const names = new Map(
            found.flatMap(({ containers }) => containers.map((item) => [item.name, item] as const)),
          );
          last = { host, found: sorted(names), should: sorted(should) };
          if (!isDeepStrictEqual(sorted(names), sorted(should))) return false;
          // What a host has no more is also gone from the bus.
          if (!serving.has(host) && found.length > 0) return false;
        }
        return true;
      },
      `every host of ${tenant} knows its containers`,
      60,
    )
    .catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(last)}`);
    });
}

const ask = async (name: string, tenant: string): Promise<ContainerConfig> => {
  await suite.ask(SUBJECTS.containerRequested, { name, tenant, network: 'container' });
  await suite.fact(SUBJECTS.containerStarted, { name });
  return configOf(name);
};

describe('a host that serves a tenant', () => {
  let number = 0;
  it('knows its containers on every host, and where they are reached; other hosts do not', async () => {
    const one = await ask('one', 'acme');
    number = one.tenantNumber ?? 0;
    await settled('acme', number);
    expect([...(await neighbours(one.host, number)).values()]).toEqual([
      {
        id: one.containerId,
        name: 'one',
        host: one.host,
        hostAddress: ADDRESSES.get(one.host),
        ...one.address,
        running: true,
      },
    ]);
    const two = await ask('two', 'acme');
    await settled('acme', number);
    expect([...(await neighbours(one.host, number)).keys()].sort()).toEqual(['one', 'two']);
    expect([...(await neighbours(two.host, number)).keys()].sort()).toEqual(['one', 'two']);
  });

  it('is sent nothing of other tenants', async () => {
    const other = await ask('foreign', 'globex');
    await settled('globex', other.tenantNumber ?? 0);
    await settled('acme', number);
    expect((await neighbours(other.host, number)).has('foreign')).toBe(false);
  });

  it('learns that one is stopped and started again: the name goes, the address stays', async () => {
    const { host, address } = configOf('one');
    await suite.ask(SUBJECTS.containerStopRequested, { name: 'one', tenant: 'acme' });
    await suite.fact(SUBJECTS.containerStopped, { name: 'one' });
    await settled('acme', number);
    expect((await neighbours(host, number)).get('one')).toMatchObject({ running: false, ...address });
    await suite.ask(SUBJECTS.containerStartRequested, { name: 'one', tenant: 'acme' });
    await suite.fact(SUBJECTS.containerStarted, { name: 'one' });
    await settled('acme', number);
    expect((await neighbours(host, number)).get('one')).toMatchObject({ running: true, ...address });
  });

  it('is sent what its containers may reach, and those that are placed come with it', async () => {
    const before = (await suite.rows<{ n: string }>('SELECT sum(generation) AS n FROM container_history'))[0];
    const list = { policy: 'list', to: [{ network: '192.0.2.0/24', protocol: 'tcp', ports: ['443'] }] } as const;
    const id = await suite.ask(SUBJECTS.tenantChangeRequested, { tenant: 'acme', egress: list });
    const changed = await suite.fact(SUBJECTS.tenantChanged, { requestId: id });
    const { revision } = changed as unknown as { revision: number };
    const serving = new Set([configOf('one').host, configOf('two').host]);
    const [idle = ''] = HOSTS.filter((host) => !serving.has(host));
    for (const host of serving)
      await suite.until(async () => (await policyOf(host, number))?.revision === revision, host);
    expect(await policyOf(idle, number)).toBeUndefined();
    // No container's config was written for it.
    expect((await suite.rows<{ n: string }>('SELECT sum(generation) AS n FROM container_history'))[0]).toEqual(before);
    expect(await effects('acme')).toEqual([...serving].sort().map((host) => [host, 3 - serving.size, 'no']));
    for (const host of serving) suite.hosts.policies.set(host, [{ tenantNumber: number, revision }]);
    await suite.until(async () => (await effects('acme')).every(([, , effect]) => effect === 'yes'), 'it is in effect');

    for (const host of HOSTS.filter((name) => name !== idle)) {
      await suite.ask(SUBJECTS.hostCordonRequested, { host });
      await suite.fact(SUBJECTS.hostCordoned, { host });
    }
    const three = await ask('three', 'acme');
    expect(three).toMatchObject({ host: idle, tenantPolicy: { ...list, revision } });
    await suite.until(async () => (await policyOf(idle, number))?.revision === revision, 'the new host has it');
    await suite.ask(SUBJECTS.containerRemoveRequested, { name: 'three', tenant: 'acme' });
    await suite.fact(SUBJECTS.containerRemoved, { name: 'three' });
    await suite.until(async () => (await policyOf(idle, number)) === undefined, 'nothing is left of it');
    for (const host of HOSTS.filter((name) => name !== idle)) {
      await suite.ask(SUBJECTS.hostUncordonRequested, { host });
      await suite.fact(SUBJECTS.hostUncordoned, { host });
    }

    const bad = await suite.ask(SUBJECTS.tenantChangeRequested, { tenant: 'acme', egress: { policy: 'list' } });
    expect(await suite.fact(SUBJECTS.tenantRejected, { requestId: bad })).toMatchObject({ reason: 'invalid-request' });
    const early = await suite.ask(SUBJECTS.tenantChangeRequested, { tenant: 'initech', egress: { policy: 'none' } });
    await suite.fact(SUBJECTS.tenantChanged, { requestId: early });
    expect(await suite.answer(QUERIES.tenant, { tenant: 'initech' })).toMatchObject({
      number: null,
      containers: 0,
      egress: { policy: 'none' },
      hosts: [],
    });
    expect((await ask('first', 'initech')).tenantPolicy).toMatchObject({ policy: 'none' });
  });

  it('learns that a host is reached at another address, and that one is lost and back', async () => {
    const { host } = configOf('two');
    suite.hosts.addresses.set(host, '198.51.100.7');
    await suite.until(
      async () => (await neighbours(host, number)).get('two')?.hostAddress === '198.51.100.7',
      'the new address',
    );
    await settled('acme', number);
    suite.hosts.silent.add(host);
    await suite.fact(SUBJECTS.containerLost, { name: 'two' });
    await settled('acme', number);
    expect((await neighbours(host, number)).get('two')).toMatchObject({ running: false, hostAddress: '198.51.100.7' });
    suite.hosts.wake(host);
    await suite.fact(SUBJECTS.hostRecovered, { host });
    await settled('acme', number);
    expect((await neighbours(host, number)).get('two')).toMatchObject({ running: true });
  });

  it('is sent a move, the host that is left nothing more', async () => {
    const before = configOf('two');
    await suite.ask(SUBJECTS.hostDrainRequested, { host: before.host });
    await suite.fact(SUBJECTS.hostDrained, { host: before.host });
    await suite.until(() => configOf('two').host !== before.host, 'it moved');
    await settled('acme', number);
    const after = configOf('two');
    expect((await neighbours(after.host, number)).get('two')).toMatchObject({
      ...before.address,
      host: after.host,
      hostAddress: ADDRESSES.get(after.host),
    });
    expect(await received(before.host, number)).toEqual([]);
    await suite.ask(SUBJECTS.hostUncordonRequested, { host: before.host });
    await suite.fact(SUBJECTS.hostUncordoned, { host: before.host });
  });

  it('is sent an empty part when its last container is gone, and the bus keeps nothing at the end', async () => {
    await suite.ask(SUBJECTS.containerRemoveRequested, { name: 'two', tenant: 'acme' });
    await suite.fact(SUBJECTS.containerRemoved, { name: 'two' });
    await settled('acme', number);
    await suite.ask(SUBJECTS.containerRemoveRequested, { name: 'one', tenant: 'acme' });
    await suite.fact(SUBJECTS.containerRemoved, { name: 'one' });
    await settled('acme', number);
    await suite.until(
      async () => (await suite.rows(`SELECT 1 FROM neighbour_hosts WHERE tenant = 'acme'`)).length === 0,
      'no host is known',
    );
    for (const host of HOSTS) expect(await received(host, number)).toEqual([]);
  });

  it('is sent it again when it serves the tenant again', async () => {
    const { host } = await ask('again', 'acme');
    await settled('acme', number);
    expect([...(await neighbours(host, number)).keys()]).toEqual(['again']);
  });
});

it('bursts, a provisioner killed among them again and again, leave every host with what is so', async () => {
  const names = Array.from({ length: 300 }, (_, index) => `crowd-${index}`);
  const killing = (async () => {
    for (let round = 0; round < 3; round++) {
      await suite.until(() => suite.of(SUBJECTS.containerStarted).length > 60 * (round + 1), 'some run');
      await suite.provisioners[0]?.end('SIGKILL');
      suite.provisioners.shift();
      await suite.startProvisioner('provisioner-1');
    }
  })();
  await Promise.all(
    names.map((name) => suite.ask(SUBJECTS.containerRequested, { name, tenant: 'crowd', network: 'container' })),
  );
  await killing;
  await suite.until(
    () => new Set(suite.of(SUBJECTS.containerStarted, { tenant: 'crowd' }).map(({ name }) => name)).size === 300,
    'all run',
  );
  const number = configOf('crowd-0').tenantNumber ?? 0;
  await settled('crowd', number);
  expect((await received('host-1', number)).length).toBeGreaterThan(NEIGHBOUR_SHARDS / 2);
  await Promise.all(names.map((name) => suite.ask(SUBJECTS.containerRemoveRequested, { name, tenant: 'crowd' })));
  await suite.until(
    async () =>
      (await suite.rows(`SELECT 1 FROM containers WHERE tenant = 'crowd' AND state <> 'removed'`)).length === 0,
    'all are removed',
  );
  await settled('crowd', number);
});

it('what changes while a change is taken is sent too: a last container that goes then is known of by its host', async () => {
  const { host, tenantNumber = 0, containerId } = await ask('late', 'late');
  await settled('late', tenantNumber);
  expect((await received(host, tenantNumber)).length).toBe(1);
  await suite.inTransaction(async (locks) => {
    // As another provisioner has it that works on the tenant.
    await locks(`SELECT pg_advisory_lock(7403, ${tenantNumber})`);
    await suite.rows(`INSERT INTO neighbour_changes (tenant, shard) VALUES ('late', 0)`);
    await suite.inTransaction(async (change) => {
      await change('LOCK TABLE neighbour_changes IN SHARE ROW EXCLUSIVE MODE');
      await locks(`SELECT pg_advisory_unlock(7403, ${tenantNumber})`);
      const waiting = `SELECT 1 FROM pg_locks WHERE relation = 'neighbour_changes'::regclass AND NOT granted`;
      await suite.until(async () => (await suite.rows(waiting)).length > 0, 'the changes are being taken');
      await change(`UPDATE containers SET state = 'removed' WHERE id = '${containerId}'`);
    });
  });
  await settled('late', tenantNumber);
  expect(await received(host, tenantNumber)).toEqual([]);
});

it('what the bus has lost is published again', async () => {
  const { tenantNumber = 0 } = configOf('again');
  const jsm = await suite.connection.jetstreamManager();
  const { config } = await jsm.streams.info(STREAMS.desired.name);
  await jsm.streams.delete(STREAMS.desired.name);
  await jsm.streams.add(config);
  await settled('acme', tenantNumber);
});
