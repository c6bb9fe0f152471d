/**
 * The rollout planner: in a world where updates fail, hosts are lost, people pause and time passes at random, and case
 * by case.
 */
import { describe, expect, it } from '@jest/globals';
import type { RolloutRequested, RolloutState } from '@plinth/contracts';
import fc from 'fast-check';
import { batchSize, budgetsOf } from './rollout-budgets.js';
import { planRollout } from './rollout-plan.js';
import { patienceOf } from './rollout-settlement.js';
import type { PlannedMember, RolloutStep, RolloutView } from './rollout-view.js';

const FROM = 'debian-12@v1';
const TO = 'debian-12@v2';
const START = Date.UTC(2026, 0, 5, 12, 0, 0);

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Member = Mutable<PlannedMember> & {
  /** Outcome once it was switched. */
  fate: 'passes' | 'fails' | 'hangs';
  /** When the switch or the revert ends; null: none is in progress. */
  dueMs: number | null;
};

function member(ordinal: number, more: Partial<Member> = {}): Member {
  return {
    ordinal,
    containerId: `c${ordinal}`,
    tenant: `t${ordinal % 3}`,
    host: `h${ordinal % 4}`,
    hostLost: false,
    storageNode: 'sn-1',
    fromImage: FROM,
    toImage: TO,
    phase: 'pending',
    reason: null,
    batch: null,
    switched: false,
    changedAtMs: START,
    desired: 'running',
    removed: false,
    image: FROM,
    updating: false,
    fate: 'passes',
    dueMs: null,
    ...more,
  };
}

const PHASES = ['pending', 'switching', 'updated', 'failed', 'skipped', 'restoring', 'restored'] as const;

/** The numbers of all members, as the database keeps them. */
function numbers(members: readonly PlannedMember[]): Pick<RolloutView, 'tally' | 'batchTally' | 'lastChangeMs'> {
  const of = (phase: PlannedMember['phase'], some = members): number =>
    some.filter((one) => one.phase === phase).length;
  const counts = { total: members.length, ...Object.fromEntries(PHASES.map((phase) => [phase, of(phase)])) };
  const batch = Math.max(-1, ...members.map((one) => one.batch ?? -1));
  const last = members.filter((one) => one.batch === batch);
  return {
    tally: {
      counts: counts as RolloutView['tally']['counts'],
      unassigned: members.filter(({ phase, batch: own }) => phase === 'pending' && own === null).length,
      batch,
    },
    batchTally: { size: last.length, updated: of('updated', last), failed: of('failed', last) },
    lastChangeMs: Math.max(0, ...members.map(({ changedAtMs }) => changedAtMs)),
  };
}

function view(members: readonly PlannedMember[], more: Partial<RolloutView> = {}): RolloutView {
  return {
    ...numbers(members),
    request: { select: { image: 'debian-12' }, to: TO },
    state: 'rolling',
    pausedBecause: null,
    approvedBatches: 0,
    forgivenFailures: 0,
    finishedBatch: -1,
    changedAtMs: START,
    members,
    inProgress: members.filter(({ updating, phase }) => updating || phase === 'restoring'),
    unstaged: [],
    ownStores: { hosts: 0, lacking: [] },
    withdrawn: [],
    ...more,
  };
}

/** The database and the hosts as the planner sees them: its steps are written here, and the hosts react. */
class World {
  now = START;
  state: RolloutState = 'staging';
  pausedBecause: RolloutView['pausedBecause'] = null;
  approvedBatches = 0;
  forgivenFailures = 0;
  finishedBatch = -1;
  ended = false;
  changedAtMs = START;
  readonly switches = new Map<number, number>();
  readonly order: number[] = [];

  constructor(
    readonly request: RolloutRequested,
    readonly members: Member[],
    /** Members of a kind that one decision reads. */
    private readonly few = 3,
  ) {}

  view(): RolloutView {
    const inProgress = this.members.filter(
      (one) =>
        (one.updating || one.phase === 'restoring') && !one.hostLost && !one.removed && one.desired === 'running',
    );
    const { request, state, pausedBecause, approvedBatches, forgivenFailures, finishedBatch, changedAtMs, members } =
      this;
    return {
      request,
      state,
      pausedBecause,
      approvedBatches,
      forgivenFailures,
      finishedBatch,
      changedAtMs,
      ...numbers(members),
      members: this.read(),
      inProgress,
      unstaged: [],
      ownStores: { hosts: 0, lacking: [] },
      withdrawn: [],
    };
  }

  /** What a step reads of many members: of most kinds the first few. */
  private read(): readonly PlannedMember[] {
    const { tally, lastChangeMs } = numbers(this.members);
    const isOver = this.now - Math.max(this.changedAtMs, lastChangeMs) > patienceOf(this);
    const first = (count: number, fits: (one: Member) => boolean): Member[] =>
      this.members.filter(fits).slice(0, count);
    const few = isOver ? this.members.length : this.few;
    const isUnassigned = ({ phase, batch }: Member): boolean => phase === 'pending' && batch === null;
    const reachable = first(batchSize(this.request, tally), (one) => isUnassigned(one) && !one.hostLost);
    const goesBack = ({ phase, switched, image, removed }: Member): boolean =>
      switched && !removed && (phase === 'updated' || ((phase === 'skipped' || phase === 'failed') && image === TO));
    const read = new Set([
      ...this.members.filter(({ phase }) => phase === 'switching' || phase === 'restoring'),
      ...this.members.filter(({ phase, updating }) => (phase === 'skipped' || phase === 'failed') && updating),
      ...first(few, ({ phase, batch }) => phase === 'pending' && batch !== null),
      ...(reachable.length > 0 ? reachable : first(few, isUnassigned)),
      ...first(this.few, goesBack),
    ]);
    return this.members.filter((one) => read.has(one)).map((one) => ({ ...one }));
  }

  /** Plans and writes until no step is left now. */
  settle(): void {
    for (let turns = 0; !this.ended; turns++) {
      if (turns > 500) throw new Error('the planner never runs out of steps');
      const { steps } = planRollout(this.view(), this.now);
      if (steps.length === 0) return;
      for (const step of steps) this.write(step);
      this.checkBudgets();
    }
  }

  private write(step: RolloutStep): void {
    const of = (ordinal: number): Member => this.members[ordinal] as Member;
    const change = (ordinal: number, values: Partial<Member>): Member =>
      Object.assign(of(ordinal), values, { changedAtMs: this.now });
    switch (step.kind) {
      case 'assign':
        of(step.ordinal).batch = step.batch;
        break;
      case 'switch': {
        const one = change(step.ordinal, { phase: 'switching', switched: true, image: TO, updating: true });
        one.dueMs = one.fate === 'hangs' ? null : this.now + 1_000 + (step.ordinal % 7) * 500;
        this.switches.set(step.ordinal, (this.switches.get(step.ordinal) ?? 0) + 1);
        this.order.push(step.ordinal);
        break;
      }
      case 'restore': {
        const one = change(step.ordinal, { phase: 'restoring', image: step.image, updating: false });
        one.dueMs = one.fate === 'hangs' ? null : this.now + 500;
        break;
      }
      case 'settle':
        change(step.ordinal, { phase: step.phase, reason: step.reason });
        break;
      case 'batch-finished':
        this.finishedBatch = step.batch;
        break;
      case 'become':
        this.state = step.state;
        this.changedAtMs = this.now;
        this.pausedBecause = step.state === 'paused' ? (step.because ?? null) : null;
        this.ended = step.state === 'completed' || step.state === 'reverted';
        break;
      case 'end':
        this.ended = true;
        break;
      case 'batch-started':
        break;
    }
  }

  /** Time passes; hosts that are not lost carry out their configs. */
  pass(ms: number): void {
    this.now += ms;
    for (const one of this.members) {
      if (one.dueMs === null || one.dueMs > this.now || one.hostLost || one.desired !== 'running') continue;
      one.dueMs = null;
      const late = one.phase === 'failed' || one.phase === 'skipped';
      if (one.phase === 'restoring') Object.assign(one, { phase: 'restored', changedAtMs: this.now });
      else if (one.fate === 'passes')
        Object.assign(one, {
          updating: false,
          ...(one.phase === 'switching' || late ? { phase: 'updated', changedAtMs: this.now } : {}),
        });
      else
        Object.assign(one, {
          image: FROM,
          updating: false,
          ...(one.phase === 'switching' || late ? { phase: 'failed', reason: 'unhealthy', changedAtMs: this.now } : {}),
        });
    }
  }

  /** A container with an update in progress on a host that is not lost is down, or may be. */
  private checkBudgets(): void {
    const budgets = budgetsOf(this.request, this.members.length);
    const down = this.view().inProgress;
    for (const [key, most] of [
      ['host', budgets.perHost],
      ['tenant', budgets.perTenant],
    ] as const) {
      const counts = new Map<string, number>();
      for (const one of down) counts.set(one[key], (counts.get(one[key]) ?? 0) + 1);
      for (const [name, count] of counts)
        if (count > most && !this.excused) throw new Error(`${count} down of ${key} ${name}; ${most} are allowed`);
    }
  }

  /** A host that comes back adds its updates in progress; the planner cannot refuse them. */
  excused = false;

  person(action: 'pause' | 'resume' | 'abort' | 'revert' | 'approve'): void {
    const open = this.state === 'staging' || this.state === 'rolling';
    if (action === 'pause' && open) [this.state, this.pausedBecause] = ['paused', 'person'];
    else if (
      (action === 'resume' || (action === 'approve' && this.pausedBecause === 'approval')) &&
      this.state === 'paused'
    ) {
      if (this.pausedBecause === 'approval')
        this.approvedBatches = Math.max(-1, ...this.members.map(({ batch }) => batch ?? -1)) + 2;
      this.forgivenFailures = this.members.filter(({ phase }) => phase === 'failed').length;
      [this.state, this.pausedBecause] = ['staging', null];
    } else if (action === 'abort' && (open || this.state === 'paused')) this.state = 'aborted';
    else if (action === 'revert' && this.state !== 'reverting' && this.state !== 'reverted')
      [this.state, this.ended] = ['reverting', false];
    this.changedAtMs = this.now;
  }
}

const requests = fc.record(
  {
    canary: fc.integer({ min: 0, max: 3 }),
    batch: fc.oneof(fc.integer({ min: 1, max: 9 }).map(String), fc.constantFrom('10%', '25%', '100%')),
    maxDownPerHost: fc.integer({ min: 1, max: 4 }),
    maxDownPerTenant: fc.integer({ min: 1, max: 6 }),
    maxFailures: fc.integer({ min: 1, max: 5 }),
    successPercent: fc.integer({ min: 0, max: 100 }),
    onFailure: fc.constantFrom('revert' as const, 'pause' as const),
    approval: fc.constantFrom('none' as const, 'canary' as const, 'batches' as const),
    stableSeconds: fc.constant(1),
    soakSeconds: fc.integer({ min: 0, max: 5 }),
    deadlineSeconds: fc.constant(30),
    window: fc.constant({ opens: '0 * * * *', minutes: 40 }),
  },
  { requiredKeys: ['stableSeconds', 'soakSeconds', 'deadlineSeconds'] },
);
const fates = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constant('passes' as const) },
    { weight: 2, arbitrary: fc.constant('fails' as const) },
    { weight: 1, arbitrary: fc.constant('hangs' as const) },
  ),
  { minLength: 1, maxLength: 30 },
);
type Happening =
  | { kind: 'pass'; ms: number }
  | { kind: 'lose' | 'find'; host: number }
  | { kind: 'person'; action: 'pause' | 'resume' | 'abort' | 'revert' | 'approve' }
  | { kind: 'remove' | 'stop'; at: number };
const happenings = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom('lose' as const, 'find' as const),
        host: fc.integer({ min: 0, max: 3 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('person' as const),
        action: fc.constantFrom(
          'pause' as const,
          'resume' as const,
          'abort' as const,
          'revert' as const,
          'approve' as const,
        ),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom('remove' as const, 'stop' as const),
        at: fc.integer({ min: 0, max: 29 }),
      }),
    },
  ),
  { maxLength: 60 },
);

function happen(world: World, event: Happening): void {
  switch (event.kind) {
    case 'pass':
      return world.pass(event.ms);
    case 'lose':
      for (const one of world.members) if (one.host === `h${event.host}`) one.hostLost = true;
      return;
    case 'find':
      world.excused = true;
      for (const one of world.members) if (one.host === `h${event.host}`) one.hostLost = false;
      return;
    case 'person':
      return world.person(event.action);
    case 'remove':
    case 'stop': {
      const one = world.members[event.at % world.members.length];
      if (one) one.desired = event.kind === 'remove' ? 'removed' : 'stopped';
      if (one && event.kind === 'remove') one.removed = true;
    }
  }
}

describe('a rollout with random failures', () => {
  it('ends although a container whose host came back after it was skipped is never judged', () => {
    const fates = ['passes', 'hangs', 'passes', 'passes', 'fails'] as const;
    const world = new World(
      { select: { image: 'debian-12' }, to: TO, canary: 2, stableSeconds: 1, soakSeconds: 0, deadlineSeconds: 30 },
      fates.map((fate, ordinal) => member(ordinal, { fate })),
    );
    world.settle();
    happen(world, { kind: 'lose', host: 1 });
    world.settle();
    happen(world, { kind: 'find', host: 1 });
    for (let turns = 0; turns < 100 && !world.ended; turns++) {
      world.settle();
      world.pass(10_000);
    }
    expect(world.state).toBe('completed');
    // The fifth is of the same tenant as the second, which uses up the tenant's budget.
    expect(world.members.map(({ phase }) => phase)).toEqual(['updated', 'skipped', 'updated', 'updated', 'skipped']);
  });

  it('keeps its budgets, switches nothing twice, ends, and leaves every container on its target or where it came from', () => {
    fc.assert(
      fc.property(requests, fates, happenings, (options, fateOf, events) => {
        const request: RolloutRequested = { select: { image: 'debian-12' }, to: TO, ...options };
        const world = new World(
          request,
          fateOf.map((fate, ordinal) => member(ordinal, { fate })),
        );
        world.settle();
        for (const event of events) {
          happen(world, event);
          world.settle();
        }
        // Afterwards a person approves everything, and all hosts are back or stay lost: the rollout ends by itself.
        for (let turns = 0; turns < 2_000 && !world.ended; turns++) {
          if (world.state === 'paused') world.person('resume');
          world.pass(10_000);
          world.settle();
        }
        expect(world.ended).toBe(true);
        expect([...world.switches.values()].every((count) => count === 1)).toBe(true);
        for (const one of world.members) {
          expect([FROM, TO]).toContain(one.image);
          expect(['pending', 'updated', 'failed', 'skipped', 'restored']).toContain(one.phase);
          if (world.state === 'reverted' && !one.removed && one.desired === 'running' && one.switched)
            expect(one.image).toBe(one.phase === 'failed' && one.fate === 'hangs' ? one.image : FROM);
          if (world.state === 'completed') expect(one.phase).not.toBe('pending');
        }
      }),
      { numRuns: 600 },
    );
  });

  it('never lets more fail than halts it, one batch apart', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 5, max: 40 }),
        (batch, maxFailures, total) => {
          const request: RolloutRequested = {
            select: { tenant: 'acme' },
            to: TO,
            canary: 0,
            batch: String(batch),
            maxFailures,
            stableSeconds: 0,
            soakSeconds: 0,
            deadlineSeconds: 30,
          };
          const world = new World(
            request,
            Array.from({ length: total }, (_, ordinal) =>
              member(ordinal, { fate: 'fails', host: `h${ordinal}`, tenant: `t${ordinal}` }),
            ),
          );
          for (let turns = 0; turns < 500 && !world.ended; turns++) {
            world.settle();
            world.pass(5_000);
          }
          expect(world.state).toBe(maxFailures <= total ? 'reverted' : 'completed');
          expect(world.switches.size).toBeLessThanOrEqual(Math.ceil(maxFailures / batch) * batch);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('switches in the order of its members', () => {
    const request: RolloutRequested = {
      select: { tenant: 'acme' },
      to: TO,
      canary: 2,
      batch: '3',
      stableSeconds: 0,
      soakSeconds: 0,
    };
    const world = new World(
      request,
      Array.from({ length: 11 }, (_, ordinal) => member(ordinal, { host: `h${ordinal}`, tenant: `t${ordinal}` })),
    );
    for (let turns = 0; turns < 50 && !world.ended; turns++) {
      world.settle();
      world.pass(5_000);
    }
    expect(world.state).toBe('completed');
    expect(world.order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

describe('a rollout waits for', () => {
  const closed = { opens: '0 2 * * *', minutes: 60 };
  const batch0 = (more: Partial<Member> = {}): Member => member(0, { batch: 0, ...more });
  const cases: readonly [string, RolloutView, string | null][] = [
    [
      'a storage node without the image',
      view([member(0)], { state: 'staging', unstaged: [{ storageNode: 'sn-1', image: TO }] }),
      'image-not-staged',
    ],
    [
      'a host without the image in its own store',
      view([member(0)], {
        state: 'staging',
        ownStores: { hosts: 2, lacking: [{ host: 'h0', image: TO, problem: null }] },
      }),
      'image-not-staged',
    ],
    [
      'a window that is closed',
      view([member(0)], { request: { select: {}, to: TO, window: closed } }),
      'window-closed',
    ],
    [
      'a batch that is being judged',
      view([batch0({ phase: 'switching', updating: true, image: TO }), member(1)]),
      'batch-running',
    ],
    [
      'a host with too many updates in progress',
      view([batch0()], { inProgress: [{ containerId: 'x', host: 'h0', tenant: 'other' }] }),
      'host-budget',
    ],
    [
      'a tenant with too many updates in progress',
      view([batch0()], { inProgress: [{ containerId: 'x', host: 'other', tenant: 't0' }] }),
      'tenant-budget',
    ],
    ['hosts that are lost', view([member(0, { hostLost: true })]), 'host-lost'],
    ['a person who paused it', view([member(0)], { state: 'paused', pausedBecause: 'person' }), 'paused-by-person'],
    [
      'a person, after failures',
      view([member(0)], { state: 'paused', pausedBecause: 'failures' }),
      'paused-by-failures',
    ],
    ['an approval', view([member(0)], { state: 'paused', pausedBecause: 'approval' }), 'approval-needed'],
    [
      'members that are being reverted',
      view([member(0, { phase: 'restoring' })], { state: 'reverting' }),
      'revert-running',
    ],
    [
      'updates in progress of an aborted one',
      view([member(0, { phase: 'switching', updating: true, image: TO })], { state: 'aborted' }),
      'ending',
    ],
    ['nothing, when it has ended', view([member(0, { phase: 'updated', image: TO })], { state: 'completed' }), null],
  ];
  it.each(cases)('%s', (_, given, reason) => {
    const decision = planRollout(given, START);
    expect(decision.steps).toEqual([]);
    expect(decision.wait?.reason ?? null).toBe(reason);
  });
});

describe('a rollout', () => {
  const cases: readonly [string, RolloutView, readonly RolloutStep['kind'][], number?][] = [
    ['begins when all is staged', view([member(0)], { state: 'staging' }), ['become']],
    [
      'leaves out the containers of a host that does not get the image in time',
      view([member(0), member(1)], {
        state: 'staging',
        ownStores: { hosts: 2, lacking: [{ host: 'h0', image: TO, problem: 'no-space' }] },
      }),
      ['settle'],
      START + 1_800_000,
    ],
    [
      'leaves out the containers of a storage node that does not get the image in time',
      view([member(0), member(1, { storageNode: 'sn-2' })], {
        request: { select: {}, to: TO, stagingSeconds: 20 },
        state: 'staging',
        unstaged: [{ storageNode: 'sn-1', image: TO }],
      }),
      ['settle'],
      START + 20_000,
    ],
    [
      'ends when nobody gets the image in time',
      view([member(0), member(4)], {
        state: 'staging',
        ownStores: { hosts: 1, lacking: [{ host: 'h0', image: TO, problem: 'no-space' }] },
      }),
      ['settle', 'settle', 'become'],
      START + 1_800_000,
    ],
    ['gives up staging a withdrawn image', view([member(0)], { state: 'staging', withdrawn: [TO] }), ['become']],
    ['begins with the canary', view([member(0), member(1), member(2)]), ['assign', 'batch-started']],
    [
      'switches a batch within its budgets',
      view([member(0, { batch: 0 }), member(1, { batch: 0 })], { request: { select: {}, to: TO, batch: '2' } }),
      ['switch', 'switch'],
    ],
    ['leaves out a removed container', view([member(0, { removed: true })]), ['settle']],
    ['leaves out a stopped container', view([member(0, { desired: 'stopped' })]), ['settle']],
    ['leaves out a container on the target already', view([member(0, { image: TO })]), ['settle']],
    ['does not wait for a lost host in a batch', view([member(0, { batch: 0, hostLost: true })]), ['assign']],
    [
      'announces the end of a batch',
      view([member(0, { batch: 0, phase: 'updated', image: TO }), member(1)]),
      ['batch-finished'],
    ],
    [
      'halts after a failure',
      view([member(0, { batch: 0, phase: 'failed' }), member(1)], { finishedBatch: 0 }),
      ['become'],
    ],
    [
      'reverts switched containers',
      view([member(0, { phase: 'updated', switched: true, image: TO })], { state: 'reverting' }),
      ['restore'],
    ],
    [
      'reverts containers that were never judged',
      view([member(0, { phase: 'failed', reason: 'deadline', switched: true, image: TO })], { state: 'reverting' }),
      ['restore'],
    ],
    [
      'leaves those that failed to their hosts',
      view([member(0, { phase: 'failed', reason: 'unhealthy', switched: true, image: FROM })], { state: 'reverting' }),
      ['become'],
    ],
    [
      'gives up on a switch that is never judged',
      view([member(0, { batch: 0, phase: 'switching', image: TO, updating: true })]),
      ['settle'],
      START + 666_000,
    ],
  ];
  it.each(cases)('%s', (_, given, kinds, now = START) => {
    expect(planRollout(given, now).steps.map(({ kind }) => kind)).toEqual(kinds);
  });
});
