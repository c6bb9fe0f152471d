import { describe, expect, it } from '@jest/globals';
import type { GroupRules, LabelConstraint, RebalancePlan } from '@plinth/contracts';
import fc from 'fast-check';
import { candidateHost } from '../../testing/candidate-host.js';
import type { GroupMembers } from '../../placement/domain/groups.js';
import { meets } from '../../placement/domain/labels.js';
import type { CandidateHost } from '../../placement/domain/placement.js';
import { usedShare } from '../../placement/domain/scorers.js';
import { Places } from '../../placement/domain/places.js';
import type { Fleet, FleetContainer } from './fleet.js';
import type { PlanOptions } from './plan-state.js';
import { inSlices } from '../in-slices.js';
import { planInSteps, planRebalance, whyNoLonger } from './rebalance-plan.js';

interface Given {
  readonly on: string;
  readonly memory?: number;
  readonly rules?: GroupRules;
  readonly constraints?: readonly LabelConstraint[];
  readonly stays?: FleetContainer['stays'];
  readonly tenant?: string;
  readonly stopped?: boolean;
  readonly portsTakenOn?: readonly string[];
}

const OPTIONS: PlanOptions = { thresholdPercent: 20, maxMoves: 100 };

function container(index: number, given: Given, hosts: readonly CandidateHost[]): FleetContainer {
  const { on, memory = 100, rules = {}, constraints, stays, tenant = 'acme', stopped = false, portsTakenOn } = given;
  return {
    id: String(index).padStart(32, '0'),
    name: `c-${index}`,
    tenant,
    host: on,
    needs: {
      isMove: true,
      resources: { memoryBytes: memory, cpus: 0.01, containers: 1 },
      datacenter: hosts.find(({ host }) => host === on)?.datacenter,
      constraints,
      network: 'isolated',
      isHeld: false,
      users: 'own',
      storageNodes: ['sn-1'],
      ...(portsTakenOn && { ports: { on: new Set(portsTakenOn), message: () => 'taken' } }),
    },
    rules,
    isRunning: !stopped,
    stays,
  };
}

/** Hosts have reserved what the containers on them have, and what the test says beside. */
function fleetOf(hosts: readonly CandidateHost[], given: readonly Given[]): Fleet {
  const containers = given.map((each, index) => container(index, each, hosts));
  const filled = hosts.map((host) => {
    const here = containers.filter((each) => each.host === host.host);
    const memoryBytes = here.reduce((sum, { needs }) => sum + needs.resources.memoryBytes, 0);
    const { allocated } = host;
    return {
      ...host,
      allocated: {
        memoryBytes: allocated.memoryBytes + memoryBytes,
        cpus: allocated.cpus + here.length * 0.01,
        containers: allocated.containers + here.length,
      },
    };
  });
  return { hosts: filled, containers, members: membersOf(hosts, containers), holders: [], places: new Places(filled) };
}

function membersOf(hosts: readonly CandidateHost[], containers: readonly FleetContainer[]): GroupMembers[] {
  return containers.flatMap(({ tenant, rules: { group }, host }) => {
    const at = hosts.find((each) => each.host === host);
    return group === undefined || !at
      ? []
      : [{ tenant, group, host, datacenter: at.datacenter, labels: at.labels, count: 1 }];
  });
}

/** The fleet when the plan is carried out; what moved is in its cooldown. */
function after({ hosts, containers }: Fleet, { moves }: RebalancePlan): Fleet {
  const to = new Map(moves.map((move) => [move.containerId, move.to]));
  const moved = containers.map((each) => {
    const host = to.get(each.id);
    return host === undefined ? each : { ...each, host, stays: 'moved-recently' as const };
  });
  const now = hosts.map((host) => {
    const net = moves.reduce(
      (sum, move) => sum + (move.to === host.host ? 1 : 0) - (move.from === host.host ? 1 : 0),
      0,
    );
    const memoryBytes = moves.reduce(
      (sum, move) => sum + (move.to === host.host ? 1 : move.from === host.host ? -1 : 0) * move.memoryBytes,
      host.allocated.memoryBytes,
    );
    const { cpus, containers: count } = host.allocated;
    return { ...host, allocated: { memoryBytes, cpus: cpus + net * 0.01, containers: count + net } };
  });
  return { hosts: now, containers: moved, members: membersOf(now, moved), holders: [], places: new Places(now) };
}

const roomy = (name: string, over: Partial<CandidateHost> = {}): CandidateHost =>
  candidateHost(name, { capacity: { memoryBytes: 1_000, cpus: 64, containers: 100 }, ...over });
const times = (count: number, given: Given): Given[] => Array.from({ length: count }, () => given);
const inRack = (name: string, rack: string): CandidateHost => roomy(name, { labels: { rack } });
/** `c-0 a>b balance` */
const shown = ({ moves }: RebalancePlan): string[] =>
  moves.map(({ name, from, to, reason }) => `${name} ${from}>${to} ${reason}`);

describe('a plan', () => {
  const A = roomy('a');
  const B = roomy('b');
  const R1 = [{ key: 'rack', operator: 'in' as const, values: ['r1'] }];
  it.each<[string, readonly CandidateHost[], readonly Given[], Partial<PlanOptions>, readonly string[]]>([
    ['is empty where hosts are even', [A, B], [...times(4, { on: 'a' }), ...times(3, { on: 'b' })], {}, []],
    ['is empty up to the threshold', [A, B], [...times(4, { on: 'a' }), ...times(2, { on: 'b' })], {}, []],
    [
      'evens out to half of the threshold, once it was exceeded',
      [A, B],
      times(6, { on: 'a' }),
      {},
      ['c-0 a>b balance', 'c-1 a>b balance', 'c-2 a>b balance'],
    ],
    ['ends with the moves that are allowed', [A, B], times(6, { on: 'a' }), { maxMoves: 1 }, ['c-0 a>b balance']],
    [
      'asks for little with a small threshold',
      [A, B],
      times(3, { on: 'a' }),
      { thresholdPercent: 10 },
      ['c-0 a>b balance'],
    ],
    [
      'takes what evens out most for what it costs',
      [A, B],
      [...times(4, { on: 'a', memory: 50 }), { on: 'a', memory: 250 }],
      { maxMoves: 1 },
      ['c-4 a>b balance'],
    ],
    [
      'takes a stopped one first',
      [A, B],
      [...times(5, { on: 'a' }), { on: 'a', stopped: true }],
      { maxMoves: 1 },
      ['c-5 a>b balance'],
    ],
    ['sends nothing to and fro that is too large for both', [A, B], [{ on: 'a', memory: 900 }], {}, []],
    ['leaves those that stay', [A, B], times(6, { on: 'a', stays: 'job' }), {}, []],
    [
      'moves only those of a tenant',
      [A, B],
      [...times(5, { on: 'a' }), { on: 'a', tenant: 'other' }],
      { tenant: 'other' },
      ['c-5 a>b balance'],
    ],
    ['stays in the data centre', [A, roomy('b', { datacenter: 'dc-2' })], times(6, { on: 'a' }), {}, []],
    ['looks at one data centre', [A, B], times(6, { on: 'a' }), { datacenter: 'dc-2' }, []],
    ['reaches the volume', [A, roomy('b', { storageNodes: ['sn-2'] })], times(6, { on: 'a' }), {}, []],
    ['passes over hosts with a port taken', [A, B], times(6, { on: 'a', portsTakenOn: ['b'] }), {}, []],
    [
      'keeps to constraints',
      [inRack('a', 'r1'), inRack('b', 'r2'), inRack('c', 'r1')],
      times(4, { on: 'a', constraints: R1 }),
      {},
      ['c-0 a>c balance', 'c-1 a>c balance'],
    ],
    [
      'keeps containers of a group apart',
      [A, B],
      times(4, { on: 'a', rules: { group: 'g' } }).concat({
        on: 'b',
        memory: 1,
        rules: { antiAffinity: { group: 'g', isRequired: true } },
      }),
      {},
      [],
    ],
    [
      'moves what is against a constraint since labels changed, with no regard to the threshold',
      [inRack('a', 'r2'), inRack('b', 'r1')],
      [{ on: 'a', memory: 1, constraints: R1 }],
      {},
      ['c-0 a>b labels'],
    ],
    [
      'moves one of two that have to be apart',
      [inRack('a', 'r1'), inRack('b', 'r1'), inRack('c', 'r2')],
      ['a', 'b'].map((on) => ({
        on,
        memory: 1,
        rules: { group: 'g', antiAffinity: { over: 'rack', isRequired: true } },
      })),
      {},
      ['c-0 a>c apart'],
    ],
    [
      'moves one near to its group',
      [inRack('a', 'r1'), inRack('b', 'r2')],
      [
        { on: 'a', memory: 1, rules: { affinity: { group: 'db', over: 'rack', isRequired: true } } },
        { on: 'b', memory: 1, rules: { group: 'db' } },
      ],
      {},
      ['c-0 a>b near'],
    ],
    [
      'spreads again what has to be spread',
      [A, B],
      times(4, { on: 'a', memory: 1, rules: { group: 'g', spread: { over: 'host', isRequired: true } } }),
      {},
      ['c-0 a>b spread', 'c-1 a>b spread'],
    ],
    [
      'spreads again what is preferred to be',
      [A, B],
      times(4, { on: 'a', memory: 1, rules: { group: 'g', spread: { over: 'host' } } }),
      {},
      ['c-0 a>b preferred', 'c-1 a>b preferred'],
    ],
    [
      'evens out no group that is spread',
      [A, B],
      [...times(2, { on: 'a', memory: 200, rules: { group: 'g', spread: { over: 'host', isRequired: true } } })].concat(
        times(2, { on: 'b', memory: 10, rules: { group: 'g', spread: { over: 'host', isRequired: true } } }),
      ),
      {},
      [],
    ],
  ])('%s', (_what, hosts, given, options, moves) => {
    const fleet = fleetOf(hosts, given);
    const plan = planRebalance(fleet, { ...OPTIONS, ...options });
    expect(shown(plan)).toEqual(moves);
    for (const move of plan.moves.slice(0, 1)) expect(whyNoLonger(fleet, move)).toBeUndefined();
  });

  it('names what is not met, and why no move helps', () => {
    const fleet = fleetOf([inRack('a', 'r2'), inRack('b', 'r3')], [{ on: 'a', constraints: R1 }]);
    expect(planRebalance(fleet, OPTIONS)).toMatchObject({
      before: { rulesNotMet: 1, datacenters: [{ datacenter: 'dc-1', hosts: 2, most: 0.1, mostOn: 'a', least: 0 }] },
      after: { rulesNotMet: 1 },
      moves: [],
      unmet: [{ name: 'c-0', rule: 'labels', why: expect.stringMatching(/^it has rack=r2, asked for was rack=r1; /) }],
    });
  });

  it('counts those that stay', () => {
    const fleet = fleetOf([A, B], [...times(2, { on: 'a', stays: 'job' }), { on: 'b', stays: 'rollout' }]);
    expect(planRebalance(fleet, OPTIONS).stays).toEqual([
      { reason: 'job', count: 2 },
      { reason: 'rollout', count: 1 },
    ]);
  });

  it.each([
    [
      'the hosts are even now',
      (fleet: Fleet, plan: RebalancePlan) => after(fleet, plan),
      /in the cooldown after a move/,
    ],
    [
      'the host is full',
      (fleet: Fleet) => ({
        ...fleet,
        hosts: fleet.hosts.map((host) =>
          host.host === 'b' ? { ...host, allocated: { ...host.allocated, memoryBytes: 950 } } : host,
        ),
      }),
      /b does not fit any more: it has too little left: memory/,
    ],
    [
      'others were moved meanwhile',
      (fleet: Fleet) => ({
        ...fleet,
        hosts: fleet.hosts.map((host) =>
          host.host === 'b' ? { ...host, allocated: { ...host.allocated, memoryBytes: 600 } } : host,
        ),
      }),
      /no longer even out a \(60 %\) and b \(60 %\)/,
    ],
    ['the host is gone', (fleet: Fleet) => ({ ...fleet, hosts: fleet.hosts.slice(0, 1) }), /b gets no containers/],
    ['the container is gone', (fleet: Fleet) => ({ ...fleet, containers: [] }), /not on a host that gets/],
  ])('has a move that is not wanted any more when %s', (_what, change, why) => {
    const fleet = fleetOf([A, B], [...times(5, { on: 'a' }), { on: 'a', stopped: true }]);
    const plan = planRebalance(fleet, OPTIONS);
    const [move] = plan.moves;
    if (!move) throw new Error('no move');
    const now = change(fleet, plan);
    const there = now.containers.map((each) => (each.id === move.containerId ? { ...each, host: 'a' } : each));
    expect(whyNoLonger({ ...now, containers: there }, move)).toMatch(why);
  });
});

const RACKS = ['r1', 'r2', 'r3'] as const;
const anyHost = fc.record({
  rack: fc.constantFrom(...RACKS),
  datacenter: fc.constantFrom('dc-1', 'dc-1', 'dc-2'),
  memory: fc.integer({ min: 200, max: 2_000 }),
  node: fc.constantFrom('sn-1', 'sn-1', 'sn-2'),
});
const anyRules = fc.constantFrom<GroupRules>(
  {},
  {},
  {},
  { group: 'g' },
  { group: 'g', spread: { over: 'rack' } },
  { group: 's', spread: { over: 'rack', isRequired: true } },
  { group: 'h', antiAffinity: { isRequired: true } },
  { group: 'h', antiAffinity: {} },
  { group: 'n', affinity: { group: 'g', over: 'rack', isRequired: true } },
);
const anyContainer = fc.record({
  at: fc.nat(),
  memory: fc.integer({ min: 1, max: 150 }),
  rules: anyRules,
  rack: fc.option(fc.constantFrom(...RACKS), { freq: 5 }),
  stays: fc.constantFrom(undefined, undefined, undefined, 'job' as const),
});

it('never exceeds a host, never breaks a constraint, never makes hosts less even, ends, and leaves nothing for a second', () => {
  const fleets = fc.tuple(
    fc.array(anyHost, { minLength: 1, maxLength: 8 }),
    fc.array(anyContainer, { maxLength: 40 }),
    fc.integer({ min: 1, max: 40 }),
  );
  fc.assert(
    fc.property(fleets, ([hosts, containers, thresholdPercent]) => {
      const named = hosts.map(({ rack, datacenter, memory, node }, index) =>
        candidateHost(`h-${index}`, {
          labels: { rack },
          datacenter,
          storageNodes: [node],
          capacity: { memoryBytes: memory, cpus: 64, containers: 100 },
        }),
      );
      const given = containers.map(({ at, rack, ...rest }) => ({
        ...rest,
        on: `h-${at % hosts.length}`,
        ...(rack !== null && { constraints: [{ key: 'rack', operator: 'in' as const, values: [rack] }] }),
      }));
      const fleet = fleetOf(named, given);
      const options = { thresholdPercent, maxMoves: 1_000 };
      const plan = planRebalance(fleet, options);
      const allocated = new Map(fleet.hosts.map((host) => [host.host, host]));
      for (const { from, to, memoryBytes, containerId, reason } of plan.moves) {
        const [left, reached] = [allocated.get(from), allocated.get(to)];
        const moved = fleet.containers.find(({ id }) => id === containerId);
        if (!left || !reached || !moved) throw new Error('a move from or to nowhere');
        const spread = spreadOf(allocated.values(), left.datacenter);
        allocated.set(from, withMemory(left, -memoryBytes));
        allocated.set(to, withMemory(reached, memoryBytes));
        expect(allocated.get(to)?.allocated.memoryBytes).toBeLessThanOrEqual(reached.capacity.memoryBytes);
        expect(reached.datacenter).toBe(left.datacenter);
        for (const constraint of moved.needs.constraints ?? []) expect(meets(reached, constraint)).toBe(true);
        if (reason === 'balance')
          expect(spreadOf(allocated.values(), left.datacenter)).toBeLessThanOrEqual(spread + 1e-9);
      }
      expect(plan.after.rulesNotMet).toBeLessThanOrEqual(plan.before.rulesNotMet);
      expect(plan.isCut).toBe(false);
      expect(new Set(plan.moves.map(({ containerId }) => containerId)).size).toBe(plan.moves.length);
      expect(shown(planRebalance(after(fleet, plan), options))).toEqual([]);
    }),
    { seed: 20_261_122, numRuns: 400 },
  );
});

describe('a long plan', () => {
  it('is made in steps, each for few containers', () => {
    const hosts = Array.from({ length: 40 }, (_, index) => candidateHost(`h-${index}`));
    const rules: GroupRules = { group: 'g', spread: { over: 'host', isRequired: true } };
    const fleet = fleetOf(
      hosts,
      Array.from({ length: 200 }, (_, index) => ({
        on: `h-${index % 20}`,
        memory: 5,
        ...(index % 2 === 0 && { rules }),
      })),
    );
    const options = { thresholdPercent: 1, maxMoves: 1_000 };
    const steps = planInSteps(fleet, options);
    let count = 0;
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done) {
        expect(step.value).toEqual(planRebalance(fleet, options));
        expect(step.value.moves.length).toBeGreaterThan(20);
        expect(count).toBeGreaterThan(step.value.moves.length);
        return;
      }
      count++;
    }
  });

  it('lets others have their turn between its steps', async () => {
    let turns = 0;
    let isOver = false;
    const others = (): void => {
      turns++;
      if (!isOver) setImmediate(others);
    };
    setImmediate(others);
    const steps = function* (): Generator<undefined, string> {
      for (let step = 0; step < 100; step++) {
        const end = performance.now() + 1;
        while (performance.now() < end);
        yield;
      }
      return 'planned';
    };
    expect(await inSlices(steps())).toBe('planned');
    isOver = true;
    expect(turns).toBeGreaterThan(4);
  });
});

function withMemory(host: CandidateHost, by: number): CandidateHost {
  const { allocated } = host;
  const one = Math.sign(by);
  return {
    ...host,
    allocated: {
      memoryBytes: allocated.memoryBytes + by,
      cpus: allocated.cpus + one * 0.01,
      containers: allocated.containers + one,
    },
  };
}

function spreadOf(hosts: Iterable<CandidateHost>, datacenter: string): number {
  const used = [...hosts].flatMap((host) => (host.datacenter === datacenter ? [usedShare(host)] : []));
  return Math.max(...used) - Math.min(...used);
}
