import { describe, expect, it } from '@jest/globals';
import { ContainerRequested, decodePayload } from '@plinth/contracts';
import { candidateHost } from '../../testing/candidate-host.js';
import { type CreationDraws, type CreationRules, type CreationView, planCreation } from './creation.js';

const GIB = 1024 ** 3;
const host = (name: string, datacenter: string, storageNodes: string[], allocatedBytes = 0) =>
  candidateHost(name, {
    datacenter,
    storageNodes,
    capacity: { memoryBytes: GIB, cpus: 10, containers: 100 },
    allocated: { memoryBytes: allocatedBytes, cpus: 0, containers: 0 },
    network: name.startsWith('west'),
    egressPolicies: name.startsWith('west'),
    diskLimits: name === 'west-1' ? ['sn-3'] : [],
  });
const VIEW: CreationView = {
  hosts: [
    host('east-1', 'east', ['sn-1']),
    host('west-1', 'west', ['sn-2', 'sn-3'], 100),
    host('west-2', 'west', ['sn-2']),
  ],
  catalogue: {
    images: [
      {
        name: 'os',
        version: 'v1',
        state: 'promoted',
        contentDigest: `sha256:${'a'.repeat(64)}`,
        storageNodes: ['sn-1', 'sn-2', 'sn-3'],
      },
    ],
    defaults: { os: 'v1' },
    defaultOs: 'os',
  },
  usage: { containers: 3, memoryBytes: 0, diskBytes: 0 },
  portsTaken: [],
};
const RULES: CreationRules = {
  defaults: { memoryBytes: 64 * 1024 ** 2, cpus: 0.5, pids: 100, openFiles: 1024 },
  quota: {},
  policy: 'least-loaded',
  network: 'isolated',
  storageReserve: 0,
};
const DRAWS: CreationDraws = {
  requestedAt: '2026-06-01T00:00:00.000Z',
  decidedAt: '2026-06-01T00:00:01.000Z',
  containerId: 'c'.repeat(32),
  volumeId: 'd'.repeat(32),
  hostDraw: 0.5,
  nodeDraw: 0.99,
  turn: 0,
};

function request(body: object): ContainerRequested {
  const decoded = decodePayload(ContainerRequested, Buffer.from(JSON.stringify(body)));
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.problems));
  return decoded.value;
}

describe('planCreation', () => {
  it('puts the container on each host that has room, best host first, with the storage node that was drawn', () => {
    const plan = planCreation(request({ datacenter: 'west', image: 'os@v7' }), VIEW, RULES, DRAWS);
    if (!plan.ok) throw new Error(plan.message);
    const records = plan.hosts.map((candidate) => plan.containerOn(candidate, [], undefined));
    expect(records.map(({ config }) => [config.host, config.storageNode])).toEqual([
      ['west-2', 'sn-2'],
      ['west-1', 'sn-3'],
    ]);
    expect(records[0]).toMatchObject({
      id: DRAWS.containerId,
      state: 'scheduled',
      requestedAt: DRAWS.requestedAt,
      config: {
        name: 'c-cccccccc',
        tenant: 'default',
        image: 'os@v1',
        imageAsked: 'os@v7',
        fallbackReason: 'unknown-version',
      },
    });
    expect(plan.resources).toEqual({ memoryBytes: 64 * 1024 ** 2, cpus: 0.5, containers: 1 });
  });

  it.each([
    ['an unknown data centre', { datacenter: 'south' }, {}, 'no-host'],
    ['a strict request for an image that does not exist', { image: 'os@v7', strict: true }, {}, 'image-unavailable'],
    ['a tenant at its quota', {}, { quota: { containers: 3 } }, 'quota-exceeded'],
    ['more memory than any host has', { limits: { memoryBytes: 2 * GIB } }, {}, 'no-capacity'],
  ])('refuses %s', (_what, body, rules, reason) => {
    const plan = planCreation(request(body), VIEW, { ...RULES, ...rules }, DRAWS);
    expect(plan).toMatchObject({ ok: false, reason, message: expect.stringMatching(/./) });
  });

  it('puts one with a limit of its disk where that can be held', () => {
    const plan = planCreation(request({ limits: { diskBytes: GIB } }), VIEW, RULES, DRAWS);
    if (!plan.ok) throw new Error(plan.message);
    const { config } = plan.containerOn(plan.hosts[0] ?? host('none', 'west', []), [], undefined);
    expect(plan.hosts).toHaveLength(1);
    expect([config.host, config.storageNode, config.limits.diskBytes]).toEqual(['west-1', 'sn-3', GIB]);
  });

  it('puts the volume where there is space, more often where there is more', () => {
    const nodeOf = (free: Record<string, number>, nodeDraw: number, body = {}): string => {
      const catalogue = {
        ...VIEW.catalogue,
        storage: { free, most: Math.max(...Object.values(free)), least: Math.min(...Object.values(free)) },
      };
      const view = { ...VIEW, catalogue, hosts: VIEW.hosts.slice(1, 2) };
      const plan = planCreation(request(body), view, { ...RULES, storageReserve: 10 }, { ...DRAWS, nodeDraw });
      if (!plan.ok || !plan.hosts[0]) return plan.ok ? '' : plan.reason;
      return plan.containerOn(plan.hosts[0], [], undefined).config.storageNode;
    };
    expect([0, 0.5, 0.74, 0.76].map((draw) => nodeOf({ 'sn-2': 300, 'sn-3': 100 }, draw))).toEqual([
      'sn-2',
      'sn-2',
      'sn-2',
      'sn-3',
    ]);
    expect(nodeOf({ 'sn-2': 9, 'sn-3': 100 }, 0)).toBe('sn-3');
    expect(nodeOf({ 'sn-2': 9, 'sn-3': 9 }, 0)).toBe('no-storage-space');
    expect(nodeOf({ 'sn-2': GIB, 'sn-3': GIB }, 0, { limits: { diskBytes: 2 * GIB } })).toBe('no-storage-space');
  });

  it('refuses a limit of the disk that no host can hold', () => {
    const plan = planCreation(request({ datacenter: 'east', limits: { diskBytes: GIB } }), VIEW, RULES, DRAWS);
    expect(plan).toMatchObject({ ok: false, reason: 'disk-limit-not-offered' });
  });

  it('refuses users that no host gives', () => {
    const hosts = VIEW.hosts.map((each) => ({ ...each, ownUsers: [], hostUsers: 'never' as const }));
    const planOf = (body: object): unknown => planCreation(request(body), { ...VIEW, hosts }, RULES, DRAWS);
    expect(planOf({})).toMatchObject({ ok: false, reason: 'own-users-not-offered' });
    expect(planOf({ hostUsers: true })).toMatchObject({ ok: false, reason: 'host-users-not-offered' });
  });

  it('keeps the limits of the request, and the defaults of the others', () => {
    const io = { weight: 10, writeBytesPerSecond: 1_000_000 };
    const bandwidth = { sendBitsPerSecond: 1_000_000 };
    const plan = planCreation(request({ bandwidth, limits: { io, pids: 7 } }), VIEW, RULES, DRAWS);
    if (!plan.ok || !plan.hosts[0]) throw new Error('no plan');
    expect(plan.containerOn(plan.hosts[0], [], undefined).config).toMatchObject({
      bandwidth,
      network: 'container',
      limits: { io, pids: 7, openFiles: 1024, diskBytes: undefined },
    });
  });

  it('refuses without a default image', () => {
    const bare = { ...VIEW, catalogue: { images: [], defaults: {}, defaultOs: null } };
    expect(planCreation(request({}), bare, RULES, DRAWS)).toMatchObject({ ok: false, reason: 'no-default-image' });
  });
});

describe('the network of a new container', () => {
  const PORT = { container: 80, host: 8080 };
  const taken = (host: string, tenant = 'default') => ({
    host,
    protocol: 'tcp' as const,
    port: 8080,
    tenant,
    name: 'web-1',
  });
  const plan = (body: object, rules: Partial<CreationRules> = {}, view: Partial<CreationView> = {}) =>
    planCreation(request(body), { ...VIEW, ...view }, { ...RULES, ...rules }, DRAWS);
  const identity = { address: { ipv4: '10.64.0.1', ipv6: 'fd00:706c:696e::a40:1' }, tenantNumber: 7 };

  it.each<[string, object, CreationRules['network'], Record<string, string>]>([
    ['what is asked for', { network: 'isolated' }, 'container', { 'east-1': 'isolated', 'west-1': 'isolated' }],
    ['one that offers it only', { network: 'container' }, 'isolated', { 'west-1': 'container' }],
    ['needed for ports', { ports: [{ container: 80 }] }, 'isolated', { 'west-1': 'container' }],
    ['needed for egress', { egress: { policy: 'none' } }, 'auto', { 'west-1': 'container' }],
    ['what the host offers', {}, 'auto', { 'east-1': 'isolated', 'west-1': 'container' }],
    ['the default', {}, 'host', { 'east-1': 'host', 'west-1': 'host' }],
    ['the default that not every host has', {}, 'container', { 'west-1': 'container' }],
  ])('is %s: %j', (_what, body, network, expected) => {
    const made = plan(body, { network });
    if (!made.ok) throw new Error(made.message);
    const networks = made.hosts
      .filter(({ host: name }) => name !== 'west-2')
      .map((candidate) => made.containerOn(candidate, [], identity).config);
    expect(Object.fromEntries(networks.map((config) => [config.host, config.network]))).toEqual(expected);
    for (const config of networks) expect(config.address !== undefined).toBe(config.network === 'container');
  });

  it('comes with what was reserved', () => {
    const made = plan({ network: 'container', egress: { policy: 'none' } });
    if (!made.ok || !made.hosts[0]) throw new Error('no plan');
    const ports = [{ protocol: 'tcp' as const, hostPort: 30_000, containerPort: 80 }];
    expect(made.containerOn(made.hosts[0], ports, identity).config).toMatchObject({
      network: 'container',
      ...identity,
      ports,
      egress: { policy: 'none' },
    });
  });

  it('is not one of CNI where an egress policy is asked for', () => {
    const hosts = VIEW.hosts.map((item) => (item.host === 'west-1' ? { ...item, egressPolicies: false } : item));
    const on = (body: object): unknown => {
      const made = plan(body, {}, { hosts });
      return made.ok && made.hosts.map((item) => item.host).sort();
    };
    expect(on({ egress: { policy: 'allow' } })).toEqual(['west-1', 'west-2']);
    expect(on({ egress: { policy: 'none' } })).toEqual(['west-2']);
  });

  it('is one that holds it to the policy of its tenant, which comes with it', () => {
    const hosts = VIEW.hosts.map((item) => (item.host === 'west-1' ? { ...item, egressPolicies: false } : item));
    const tenantPolicy = { policy: 'none' as const, revision: 5 };
    const on = (body: object, network: CreationRules['network'], policy = tenantPolicy): unknown => {
      const made = plan(body, { network }, { hosts, tenantPolicy: policy });
      if (!made.ok) return made;
      const configs = made.hosts.map((candidate) => made.containerOn(candidate, [], identity).config);
      return Object.fromEntries(configs.map((config) => [config.host, config.tenantPolicy]));
    };
    expect(on({ network: 'container' }, 'isolated')).toEqual({ 'west-2': tenantPolicy });
    expect(on({}, 'auto')).toEqual({ 'east-1': undefined, 'west-2': tenantPolicy });
    expect(Object.keys(on({}, 'isolated') as object)).toHaveLength(3);
    expect(on({ network: 'host' }, 'auto')).toMatchObject({
      ok: false,
      reason: 'network-not-offered',
      message: expect.stringMatching(/host's network.*ask for the network container/),
    });
    const allow = { policy: 'allow' as never, revision: 6 };
    expect(Object.keys(on({ network: 'container' }, 'auto', allow) as object)).toEqual(['west-2', 'west-1']);
  });

  it('is on a host where the host port is free', () => {
    const made = plan({ ports: [PORT] }, {}, { portsTaken: [taken('west-2')] });
    expect(made.ok && made.hosts.map((item) => item.host)).toEqual(['west-1']);
  });

  it.each([
    [
      'the network is not offered',
      { network: 'container', datacenter: 'east' },
      [],
      'network-not-offered',
      /plinth hosts/,
    ],
    [
      'the port is taken by a container of the tenant',
      { ports: [PORT] },
      [taken('west-1'), taken('west-2')],
      'port-taken',
      /8080\/tcp on west-1 by container web-1/,
    ],
    [
      'the port is taken by another tenant, whose names stay its own',
      { ports: [PORT] },
      [taken('west-1', 'other'), taken('west-2', 'other')],
      'port-taken',
      /^(?!.*web-1).*another tenant/,
    ],
    [
      'the port is free only where there is no room',
      { ports: [PORT], limits: { memoryBytes: GIB } },
      [taken('west-2')],
      'no-capacity',
      /of 3 ready hosts: .*1 with a port taken that was asked for, 1 without room$/,
    ],
  ])('is refused when %s', (_what, body, portsTaken, reason, message) =>
    expect(plan(body, {}, { portsTaken })).toMatchObject({
      ok: false,
      reason,
      message: expect.stringMatching(message),
    }),
  );
});
