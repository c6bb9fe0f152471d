import { describe, expect, it } from '@jest/globals';
import { ContainerRequested, decodePayload } from '@plinth/contracts';
import { placementPolicy } from '../../placement/domain/placement.js';
import { type CreationDraws, type CreationRules, type CreationView, planCreation } from './creation.js';

const GIB = 1024 ** 3;
const host = (name: string, datacenter: string, storageNodes: string[], allocatedBytes = 0) => ({
  host: name,
  datacenter,
  storageNodes,
  capacity: { memoryBytes: GIB, cpus: 10, containers: 100 },
  allocated: { memoryBytes: allocatedBytes, cpus: 0, containers: 0 },
  loadPerCore: 0,
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
};
const RULES: CreationRules = {
  defaults: { memoryBytes: 64 * 1024 ** 2, cpus: 0.5, pids: 100 },
  quota: {},
  policy: placementPolicy('least-loaded'),
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
    expect(plan.hosts.map(plan.containerOn).map(({ config }) => [config.host, config.storageNode])).toEqual([
      ['west-2', 'sn-2'],
      ['west-1', 'sn-3'],
    ]);
    expect(plan.hosts.map(plan.containerOn)[0]).toMatchObject({
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

  it('refuses without a default image', () => {
    const bare = { ...VIEW, catalogue: { images: [], defaults: {}, defaultOs: null } };
    expect(planCreation(request({}), bare, RULES, DRAWS)).toMatchObject({ ok: false, reason: 'no-default-image' });
  });
});
