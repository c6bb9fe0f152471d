/** One actor with the real planner and queues; the steps' effects are those that each case names. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ContainerConfig, ContainerReport } from '@plinth/contracts';
import { FairQueue } from '../domain/fair-queue.js';
import { emptyRecord, type LocalRecord } from '../domain/local-record.js';
import type { Observed } from '../domain/observed.js';
import type { StepKind } from '../domain/step.js';
import type { AgentServices } from './agent-services.js';
import { ContainerActor } from './container-actor.js';
import { ContainerState } from './container-state.js';
import type { Executors, StepOutcome } from './executors.js';
import { containerConfig } from '../testing/container-config.js';

const NOW = Date.UTC(2026, 5, 1);
const DONE: StepOutcome = { kind: 'done' };
const IMAGE = 'debian-12@v1';
const RUNNING: Observed = { kind: 'running', pid: 7, startedAtMs: NOW - 5_000, runGeneration: 2, image: IMAGE };
const STARTED: LocalRecord = {
  ...emptyRecord('boot-1'),
  attemptedGeneration: 3,
  attemptedRunGeneration: 2,
  attemptedImage: IMAGE,
  starts: 1,
  startedAtMs: NOW - 5_000,
  volumeMade: true,
  announced: { kind: 'started', generation: 3, pid: 7, image: IMAGE },
};

const config = (overrides: Partial<ContainerConfig> = {}): ContainerConfig =>
  containerConfig({ restart: { policy: 'never' }, stopGraceSeconds: 0, ...overrides });

/** Resolves when all work that waits for no timer is done. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A promise that a case settles. */
class Gate {
  open!: () => void;
  readonly passed = new Promise<void>((resolve) => (this.open = resolve));
}

const starts = new FairQueue(1);
const handovers = new FairQueue(1);
let steps: string[];
let reports: ContainerReport[];
let errors: string[];
let actors: ContainerActor[];
/** Whether the disk has no room for a report now. */
let isFull: () => boolean;
/** What a start does in place of the default, which is to run. */
let starting: (state: ContainerState) => Promise<StepOutcome>;

/** Every step is noted; a start and a kill have the effect that the planner expects of them. */
const executors = new Proxy({} as Executors, {
  get: (_, kind: StepKind) => async (step: { change?: Partial<LocalRecord>; atMs?: number }, state: ContainerState) => {
    steps.push(kind);
    if (kind === 'wait-until') return { kind: 'wait', untilMs: step.atMs };
    if (step.change) state.record = { ...state.record, ...step.change };
    if (kind === 'start') return starting(state);
    if (kind === 'stop') state.signalledAtMs = state.record.stop?.signalledAtMs;
    if (kind === 'kill') state.observed = { kind: 'exited', exitCode: 137, atMs: NOW };
    if (kind === 'delete-runtime') state.observed = { kind: 'absent' };
    if (kind === 'report') await state.report((step as unknown as { report: ContainerReport }).report);
    return DONE;
  },
});

const runs = (state: ContainerState): Promise<StepOutcome> => {
  const { generation, runGeneration, image } = state.config;
  state.observed = { kind: 'running', pid: 8, startedAtMs: NOW, runGeneration, image };
  state.record = {
    ...state.record,
    attemptedGeneration: generation,
    attemptedRunGeneration: runGeneration,
    attemptedImage: image,
    starts: state.record.starts + 1,
    startedAtMs: NOW,
    stop: undefined,
    announced: { kind: 'started', generation, pid: 8, image },
  };
  return Promise.resolve(DONE);
};

function actorOf(given: Partial<ContainerConfig> = {}, record?: LocalRecord, observed?: Observed): ContainerActor {
  const services = {
    clock: { now: () => NOW, timeOfDay: (text: string) => text },
    containers: { observe: () => actor.state.observed, expectStart: () => undefined },
    leases: { termOn: () => ({ ok: true, value: 'term' }) },
    reporter: {
      hasUnsent: () => false,
      send: async (report: ContainerReport) => {
        if (isFull()) throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
        reports.push(report);
      },
    },
    store: { saveRecord: () => Promise.resolve() },
    starts,
    handovers,
    announcements: new FairQueue(1),
    health: { follow: () => undefined, leave: () => undefined },
    limits: { look: () => false, report: () => Promise.resolve() },
    logger: { debug: () => undefined, error: ({ err }: { err: Error }) => void errors.push(err.message) },
  } as unknown as AgentServices;
  const actor: ContainerActor = new ContainerActor(
    new ContainerState(services, config(given), record ?? emptyRecord('boot-1'), observed ?? { kind: 'absent' }),
    services,
    executors,
  );
  actors.push(actor);
  actor.start();
  return actor;
}

/** Whether the queue has a place now; it is returned at once. */
async function isFree(queue: FairQueue): Promise<boolean> {
  let taken = false;
  const acquired = queue.acquire('another').then(() => {
    taken = true;
    queue.release();
  });
  await settled();
  if (taken) return true;
  // The place that was asked for is given back when it comes.
  waiting.push(acquired);
  return false;
}
let waiting: Promise<void>[];

beforeEach(() => {
  [steps, reports, errors, actors, waiting] = [[], [], [], [], []];
  isFull = () => false;
  starting = runs;
});

afterEach(async () => {
  await Promise.all(actors.map((actor) => actor.close()));
  await Promise.all(waiting);
  // No case keeps a place.
  expect(await Promise.all([starts, handovers].map(isFree))).toEqual([true, true]);
});

describe('a container actor', () => {
  it('starts a container that should run, and gives its place back', async () => {
    actorOf();
    await settled();
    expect(steps).toEqual(['create-volume', 'premount', 'start']);
    expect(await isFree(starts)).toBe(true);
  });

  it('does nothing before it has a place, and then plans again', async () => {
    await starts.acquire('another');
    const actor = actorOf();
    await settled();
    expect(steps).toEqual([]);
    actor.state.config = config({ generation: 4, desired: 'stopped' });
    actor.wake();
    starts.release();
    await settled();
    expect(steps).toEqual(['remember', 'report']);
    expect(reports).toMatchObject([{ kind: 'stopped', generation: 4 }]);
  });

  it('starts nothing when it is closed while it waits for a place', async () => {
    await starts.acquire('another');
    const actor = actorOf();
    await settled();
    const closed = actor.close();
    starts.release();
    await closed;
    expect(steps).toEqual([]);
  });

  it('starts only what is safe on disk, and prepares before', async () => {
    await starts.acquire('another');
    const actor = actorOf();
    await settled();
    const disk = new Gate();
    actor.state.saved = disk.passed;
    starts.release();
    await settled();
    expect(steps).toEqual(['create-volume', 'premount']);
    disk.open();
    await settled();
    expect(steps).toEqual(['create-volume', 'premount', 'start']);
  });

  it('holds its place while the start takes its time', async () => {
    const gate = new Gate();
    starting = (state) => gate.passed.then(() => runs(state));
    actorOf();
    await settled();
    expect(await isFree(starts)).toBe(false);
    gate.open();
    await settled();
    expect(await isFree(starts)).toBe(true);
  });

  it.each<[string, () => Promise<StepOutcome>, string]>([
    ['fails', async () => ({ kind: 'failed', failure: { reason: 'runtime-error', message: 'no' } }), 'runtime-error'],
    ['meets what nobody expected', () => Promise.reject(new Error('no')), 'internal-error'],
    ['meets a full disk', () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOSPC' })), 'no-space'],
  ])('reports a start that %s, with its reason, and gives its place back', async (_, failing, reason) => {
    starting = failing;
    actorOf();
    await settled();
    expect(reports).toMatchObject([{ kind: 'failed', reason }]);
    expect(await isFree(starts)).toBe(true);
  });

  describe('that restarts a container', () => {
    const restarted = { generation: 4, runGeneration: 3 };

    it('lets it run until it can be started again, and keeps the place until it has', async () => {
      await starts.acquire('another');
      actorOf(restarted, STARTED, RUNNING);
      await settled();
      expect(steps).toEqual([]);
      const gate = new Gate();
      starting = (state) => gate.passed.then(() => runs(state));
      starts.release();
      await settled();
      expect(steps).toEqual([
        ...['remember', 'report', 'stop', 'kill', 'remember', 'delete-runtime'],
        ...['create-volume', 'premount', 'start'],
      ]);
      expect([await isFree(starts), await isFree(handovers)]).toEqual([false, false]);
      gate.open();
      await settled();
      expect([await isFree(starts), await isFree(handovers)]).toEqual([true, true]);
    });

    it('lets others start when it takes long to end', async () => {
      const actor = actorOf({ ...restarted, stopGraceSeconds: 60 }, STARTED, RUNNING);
      await settled();
      expect(steps).toEqual(['remember', 'report', 'stop', 'wait-until']);
      expect(await isFree(starts)).toBe(false);
      // The place is given back by time.
      await Promise.all(waiting);
      expect(await isFree(handovers)).toBe(true);
      expect(actor.state.observed).toBe(RUNNING);
    });

    it('stops it at once, without a place, when it is to stay down', async () => {
      await starts.acquire('another');
      actorOf({ generation: 4, desired: 'stopped' }, STARTED, RUNNING);
      await settled();
      expect(steps).toEqual(['remember', 'report', 'stop', 'kill', 'remember', 'delete-runtime', 'report']);
      starts.release();
    });
  });

  it.each<[string, Partial<ContainerConfig>, number, string[]]>([
    ['stopped', { desired: 'stopped' }, 0, ['stopping', 'stopped']],
    ['stopped', { desired: 'stopped' }, 1, ['stopping', 'stopped']],
    ['removed', { desired: 'removed' }, 1, ['stopping', 'removed']],
    ['started again', { runGeneration: 3 }, 0, ['stopping']],
  ])('reports what a full disk has prevented when it is %s', async (_, wanted, before, expected) => {
    // For one try, once that many reports are in the journal.
    isFull = () => reports.length === before && errors.length === 0;
    const actor = actorOf({ generation: 4, ...wanted }, STARTED, RUNNING);
    for (let tries = 0; (reports.length < expected.length || actor.isBusy) && tries < 300; tries++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(errors).toEqual(['no room']);
    expect(reports.map(({ kind }) => kind)).toEqual(expected);
    // None waits for one that was never sent.
    const known = [undefined, ...reports.map(({ sequence }) => sequence)];
    for (const { after } of reports) expect(known).toContain(after);
  });

  it('sends the stop signal once the report before it has room', async () => {
    isFull = () => errors.length === 0;
    actorOf({ generation: 4, desired: 'stopped', stopGraceSeconds: 60 }, STARTED, RUNNING);
    for (let tries = 0; !steps.includes('wait-until') && tries < 300; tries++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(steps).toEqual(['remember', 'report', 'stop', 'wait-until']);
    expect(reports.map(({ kind }) => kind)).toEqual(['stopping']);
  });

  it('gives up, names the last plan and tries again later when a step has no effect', async () => {
    const actor = actorOf({}, STARTED, RUNNING);
    await settled();
    const observed = { kind: 'partial' } as const;
    Object.defineProperty(actor.state, 'observed', {
      get: () => observed,
      set() {
        // The step has no effect.
      },
    });
    actor.wake();
    await settled();
    expect(new Set(steps)).toEqual(new Set(['delete-runtime']));
    expect(errors).toEqual([expect.stringContaining('delete bundle and runtime state')]);
  });
});
