import { describe, expect, it } from '@jest/globals';
import { ContainerConfig } from '@plinth/contracts';
import type { ContainerRecord, Move } from '../../containers/domain/container-record.js';
import { portWishes } from '../../network/domain/host-ports.js';
import type { CandidateHost } from '../../placement/domain/placement.js';
import { candidateHost } from '../../testing/candidate-host.js';
import {
  arrived,
  hasRunOut,
  hostsForMoved,
  type KnownLease,
  leaving,
  needsOfMoved,
  relocationOf,
  removedElsewhere,
  removedWithHost,
} from './relocation.js';

const AT = '2026-06-01T00:00:00.000Z';
const RUN_OUT: KnownLease = { renewal: 'r-7', ttlSeconds: 30, unrenewedMs: 40_000 };
const HELD: KnownLease = { ...RUN_OUT, unrenewedMs: 39_999 };
const MOVE: Move = { reason: 'drain', to: 'host-2', desired: 'stopped', released: false };

function record(config: Partial<ContainerConfig> = {}, change: Partial<ContainerRecord> = {}): ContainerRecord {
  const plain = {
    containerId: 'c-1',
    host: 'host-1',
    storageNode: 'sn-1',
    desired: 'running',
    generation: 4,
    runGeneration: 2,
  };
  return {
    id: 'c-1',
    state: 'running',
    config: Object.assign(new ContainerConfig(), plain, config),
    pid: 7,
    restarts: 0,
    exitCode: null,
    health: null,
    failedChecks: [],
    limitsReached: [],
    addresses: null,
    message: 'old',
    reportSequence: 12,
    requestedAt: AT,
    startedAt: AT,
    knownGood: [],
    update: null,
    runningImage: 'debian@v1',
    moving: null,
    ...change,
  };
}

describe('relocationOf', () => {
  const LOST = record({}, { state: 'lost' });
  it.each([
    { of: 'a removed container', given: record({}, { state: 'removed' }), lost: true, lease: RUN_OUT, kind: 'none' },
    { of: 'one whose host is back', given: LOST, lost: false, lease: RUN_OUT, kind: 'none' },
    { of: 'one whose lease still holds', given: LOST, lost: true, lease: HELD, kind: 'none' },
    { of: 'one whose lease is unknown', given: LOST, lost: true, lease: undefined, kind: 'none' },
    { of: 'one that should run', given: LOST, lost: true, lease: RUN_OUT, kind: 'move', desired: 'running' },
    {
      of: 'one that should be stopped',
      given: record({ desired: 'stopped' }),
      lost: true,
      lease: RUN_OUT,
      kind: 'move',
      desired: 'stopped',
    },
    { of: 'one to be removed', given: record({ desired: 'removed' }), lost: true, lease: RUN_OUT, kind: 'remove' },
    {
      of: 'one that its host was asked to release',
      given: record({ desired: 'released' }, { moving: MOVE }),
      lost: true,
      lease: RUN_OUT,
      kind: 'move',
      desired: 'stopped',
    },
    {
      of: 'one that was released and found no host',
      given: record({}, { moving: { ...MOVE, to: null, released: true } }),
      lost: false,
      lease: undefined,
      kind: 'place',
    },
  ])('$of: $kind', ({ given, lost, lease, kind, desired }) => {
    expect(relocationOf(given, lost, lease)).toEqual({
      kind,
      ...(desired !== undefined && { desired }),
      ...((kind === 'move' || kind === 'remove') && { lease }),
    });
  });
});

it('treats a lease as expired ten seconds after its time, not before', () => {
  expect([39_999, 40_000].map((unrenewedMs) => hasRunOut({ ...RUN_OUT, unrenewedMs }))).toEqual([false, true]);
});

describe('the records of a move', () => {
  it('asks the drained host to release the container, and reserves room elsewhere', () => {
    const next = leaving(record(), 'host-2', 'running', AT);
    expect(next).toMatchObject({
      state: 'stopping',
      moving: { reason: 'drain', to: 'host-2', desired: 'running', released: false },
    });
    expect(next.config).toMatchObject({
      host: 'host-1',
      desired: 'released',
      generation: 5,
      runGeneration: 2,
      decidedAt: AT,
    });
    expect(leaving(record({}, { state: 'stopped' }), 'host-2', 'stopped', AT).state).toBe('stopped');
  });

  it('starts it on the new host as a separate run, with its present volume', () => {
    const next = arrived(record({}, { moving: MOVE }), 'host-2', 'running', AT, [], { from: 'host-1', renewal: 'r-7' });
    expect(next).toMatchObject({
      state: 'scheduled',
      moving: null,
      pid: null,
      reportSequence: 0,
      runningImage: null,
      message: null,
    });
    expect(next.config).toMatchObject({
      host: 'host-2',
      desired: 'running',
      generation: 5,
      runGeneration: 5,
      volumeMade: true,
      takeovers: [{ from: 'host-1', renewal: 'r-7' }],
    });
    expect(arrived(record({}, { startedAt: null }), 'host-2', 'stopped', AT, [])).toMatchObject({ state: 'stopped' });
    expect(arrived(record({}, { startedAt: null }), 'host-2', 'stopped', AT, []).config.volumeMade).toBeUndefined();
  });

  it('keeps its address on the new host, and has the ports that it got there', () => {
    const before = {
      network: 'container' as const,
      address: { ipv4: '10.64.0.1', ipv6: 'fd00::a40:1' },
      tenantNumber: 7,
      ports: [{ protocol: 'tcp' as const, hostPort: 30_001, containerPort: 80 }],
    };
    const there = [{ protocol: 'tcp' as const, hostPort: 30_002, containerPort: 80 }];
    expect(arrived(record(before), 'host-2', 'running', AT, there).config).toMatchObject({ ...before, ports: there });
    expect(arrived(record(before), 'host-2', 'running', AT, []).config.ports).toBeUndefined();
  });

  it('has another host delete the data of one whose host is lost', () => {
    const next = removedElsewhere(record({ desired: 'removed', deleteData: true }), 'host-2', AT, {
      from: 'host-1',
      renewal: 'r-7',
    });
    expect(next).toMatchObject({ state: 'stopping', pid: null, runningImage: null });
    expect(next.config).toMatchObject({
      host: 'host-2',
      desired: 'removed',
      takeovers: [{ from: 'host-1', renewal: 'r-7' }],
    });
  });

  it.each([
    { deleteData: undefined, message: 'its host host-1 is lost' },
    {
      deleteData: true,
      message: 'its host host-1 is lost, and no other reaches sn-1: its data are deleted when host-1 is back',
    },
  ])('counts one as removed with its host, and states whether its data stay (deleteData: $deleteData)', (row) => {
    const next = removedWithHost(record({ desired: 'removed', deleteData: row.deleteData }, { moving: MOVE }));
    expect(next).toMatchObject({ state: 'removed', message: row.message, pid: null, runningImage: null, moving: null });
  });
});

describe('hosts that a container with an address can move to', () => {
  const host = (name: string, network: boolean, storageNodes = ['sn-1'], diskLimits: string[] = []) =>
    candidateHost(name, { storageNodes, network, egressPolicies: network, diskLimits });
  const taken = [{ host: 'host-3', protocol: 'tcp' as const, port: 80, tenant: 'acme', name: 'web-1' }];
  const HOSTS = [host('host-2', false), host('host-3', true), host('host-4', true), host('far', true, ['sn-2'])];
  const limits = { memoryBytes: 1, cpus: 1, pids: 1 };
  const plain = { storageNode: 'sn-1', tenant: 'acme', limits };
  const limited = { ...plain, limits: { ...limits, diskBytes: 1 } };
  const HOLDING = [...HOSTS, host('host-5', false, ['sn-1'], ['sn-1']), host('host-6', false, ['sn-1'], ['sn-2'])];
  const addressed = { ...plain, address: { ipv4: '10.64.0.1', ipv6: 'fd00::a40:1' } };
  const wishes = portWishes([{ container: 80, host: 80 }]);

  function hostsFor(hosts: readonly CandidateHost[], config: Partial<ContainerConfig>, holders = taken.slice(1)) {
    const needs = needsOfMoved(Object.assign(new ContainerConfig(), config), {
      datacenter: 'dc-1',
      wishes,
      taken: holders,
    });
    const choice = hostsForMoved(hosts, needs, 'least-loaded', 0, 0);
    return choice.ok ? choice.ranked.map((item) => item.host.host) : choice.message;
  }

  it.each([
    ['offer addresses', addressed, HOSTS, [], ['host-3', 'host-4']],
    ['have its host port free', addressed, HOSTS, taken, ['host-4']],
    ['reach its volume, for one without an address', plain, HOSTS, [], ['host-2', 'host-3', 'host-4']],
    ['hold its volume to its limit', limited, HOLDING, [], ['host-5']],
    [
      'hold it to its bandwidth and its input and output',
      { ...addressed, limits: { ...limits, io: { weight: 50 } }, bandwidth: { sendBitsPerSecond: 1e6 } },
      [
        { ...host('host-7', true), missingLimits: ['bandwidth' as const] },
        { ...host('host-8', true), missingLimits: ['io-weight' as const] },
        { ...host('host-9', true), missingLimits: ['io-maxima' as const] },
      ],
      [],
      ['host-9'],
    ],
    [
      'give it users of its own',
      plain,
      [{ ...host('host-7', false), ownUsers: ['sn-2'] }, ...HOSTS.slice(0, 1)],
      [],
      ['host-2'],
    ],
  ])('%s', (_what, config, hosts, holders, expected) => {
    expect(hostsFor(hosts, config, holders)).toEqual(expected);
  });

  it('hold one with an egress policy to it, which plugins of CNI do not', () => {
    const held = { ...addressed, egress: { policy: 'none' as const } };
    const cni = [{ ...host('host-2', true), egressPolicies: false }];
    expect(hostsFor(cni, addressed)).toEqual(['host-2']);
    expect(hostsFor(cni, held)).toMatch(/holds them to an egress policy/);
    expect(hostsFor([...cni, host('host-3', true)], held)).toEqual(['host-3']);
  });

  it('explains that none holds its volume to its limit', () =>
    expect(hostsFor(HOSTS, limited)).toMatch(/data volume to a limit/));

  it.each([
    ['its storage node has its image', ['sn-1'], ['host-1', 'own-1']],
    ['only hosts with stores of their own have its image', ['sn-2'], ['own-1']],
  ])('are all that have its image, where %s', (_what, storageNodes, expected) => {
    const hosts = [candidateHost('host-1', {}), candidateHost('own-1', { hasStore: true })];
    const view = { datacenter: undefined, wishes: [], taken: [], image: { architecture: null, storageNodes } };
    const needs = needsOfMoved(Object.assign(new ContainerConfig(), plain), view);
    const choice = hostsForMoved(hosts, needs, 'least-loaded', 0, 0);
    expect(choice.ok && choice.ranked.map(({ host }) => host.host).sort()).toEqual(expected);
    const none = hostsForMoved(hosts.slice(0, 1), needs, 'least-loaded', 0, 0);
    if (expected.length === 1) expect(none).toMatchObject({ ok: false, message: /promote the image to sn-1/ });
  });

  it.each([
    ['there is none', [], /no other ready host/],
    ['none reaches the volume', HOSTS.slice(3), /no other ready host reaches sn-1/],
    ['none offers addresses', [host('host-2', false)], /address of their own/],
    ['its host port is taken', [host('host-3', true)], /80\/tcp on host-3 by container web-1/],
  ])('explains that %s', (_what, hosts, message) => expect(hostsFor(hosts, addressed, taken)).toMatch(message));
});
