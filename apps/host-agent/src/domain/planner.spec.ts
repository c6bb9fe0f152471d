import { describe, expect, it } from '@jest/globals';
import { adopt, afterAgentStart, afterReboot, emptyRecord, firstSequence, type LocalRecord } from './local-record.js';
import type { Observed } from './observed.js';
import type { PlanInput } from './plan-input.js';
import { plan, presentState } from './planner.js';
import { describeStep } from './step.js';
import { containerConfig as config } from '../testing/container-config.js';

const NOW = Date.UTC(2026, 5, 1);

const NEVER = emptyRecord('boot-1');
const RAN: LocalRecord = {
  ...NEVER,
  attemptedGeneration: 3,
  attemptedRunGeneration: 2,
  starts: 1,
  startedAtMs: NOW - 5_000,
  volumeMade: true,
  announced: { kind: 'started', generation: 3, pid: 7 },
};
const ENDED: LocalRecord = { ...RAN, lastExit: { run: 1, exitCode: 1, atMs: NOW } };
const RUNNING: Observed = { kind: 'running', pid: 7, startedAtMs: NOW - 5_000, runGeneration: 2 };
const EXITED: Observed = { kind: 'exited', exitCode: 1, atMs: NOW };
const ABSENT: Observed = { kind: 'absent' };
const STOPPING: LocalRecord = { ...RAN, stop: { signalledAtMs: NOW - 1_000, deadlineMs: NOW + 9_000 } };

const input = (overrides: Partial<PlanInput>): PlanInput => ({
  config: config(),
  observed: ABSENT,
  record: NEVER,
  nowMs: NOW,
  ...overrides,
});
const START = ['create-volume', 'premount', 'start'];
const FETCHING: PlanInput['missing'] = new Map([['debian-12@v1', {}]]);
const UNREACHABLE = { reason: 'image-unavailable', message: 'no source answers' } as const;
const UNFETCHED: PlanInput['missing'] = new Map([['debian-12@v1', { retryInMs: 250, failure: UNREACHABLE }]]);
const WAITING: LocalRecord = {
  ...NEVER,
  announced: { kind: 'starting', generation: 3, image: 'debian-12@v1', message: 'debian-12@v1 is being fetched' },
};

describe('plan', () => {
  it.each<[string, Partial<PlanInput>, string[]]>([
    ['a new container is started', {}, START],
    ['one whose image is being fetched reports it', { missing: FETCHING }, ['report starting']],
    ['one that has reported it waits', { missing: FETCHING, record: WAITING }, []],
    ['why its image could not be fetched is reported', { missing: UNFETCHED, record: WAITING }, ['report failed']],
    [
      'the same failure is reported once',
      {
        missing: UNFETCHED,
        record: { ...NEVER, announced: { kind: 'failed', generation: 3, image: 'debian-12@v1', ...UNREACHABLE } },
      },
      [],
    ],
    ['one whose image has arrived is started', { record: WAITING }, START],
    ['one that runs needs no image', { observed: RUNNING, record: RAN, missing: FETCHING }, []],
    [
      'one that runs is stopped for another image when that is here',
      { observed: { ...RUNNING, image: 'debian-12@v0' }, record: RAN, missing: FETCHING },
      [],
    ],
    ['a half-started one is deleted first', { observed: { kind: 'partial' } }, ['delete-runtime']],
    ['one that runs is left unchanged', { observed: RUNNING, record: RAN }, []],
    [
      'one that runs and was never announced gets its config, and is announced',
      { observed: RUNNING, record: { ...RAN, announced: undefined } },
      ['apply'],
    ],
    [
      'a newer config that asks for no start is brought into effect',
      { observed: RUNNING, record: RAN, config: config({ generation: 4 }) },
      ['apply'],
    ],
    [
      'a fresh start begins with a stop',
      { observed: RUNNING, record: RAN, config: config({ runGeneration: 3 }) },
      ['remember', 'report stopping', 'stop'],
    ],
    [
      'a stop waits for the grace',
      { observed: RUNNING, record: STOPPING, isSignalled: true, config: config({ desired: 'stopped' }) },
      [`wait-until ${NOW + 9_000}`],
    ],
    [
      'a stop whose signal may not have been sent sends it',
      { observed: RUNNING, record: STOPPING, config: config({ desired: 'stopped' }) },
      ['stop'],
    ],
    [
      'a grace that was shortened holds',
      { observed: RUNNING, record: STOPPING, config: config({ desired: 'stopped', stopGraceSeconds: 1 }) },
      ['kill'],
    ],
    [
      'after the grace it is killed',
      { observed: RUNNING, record: STOPPING, config: config({ desired: 'removed' }), nowMs: NOW + 9_000 },
      ['kill'],
    ],
    [
      'a stop that was begun is ended even when it should run again',
      { observed: RUNNING, record: STOPPING, isSignalled: true },
      [`wait-until ${NOW + 9_000}`],
    ],
    [
      'what ended in a stop for a fresh start is cleared silently',
      { observed: EXITED, record: STOPPING },
      ['remember', 'delete-runtime'],
    ],
    [
      'an end is counted, then waits for its restart',
      { observed: EXITED, record: RAN },
      ['remember', 'delete-runtime', 'report stopped'],
    ],
    ['an end is counted once', { observed: EXITED, record: ENDED }, ['delete-runtime']],
    ['a run that vanished counts as an end', { observed: ABSENT, record: RAN }, ['remember', 'report stopped']],
    ['backoff is waited for', { record: { ...ENDED, retryAtMs: NOW + 500 } }, [`wait-until ${NOW + 500}`]],
    ['backoff that is over', { record: { ...ENDED, retryAtMs: NOW } }, START],
    [
      'a newer config does not wait',
      { record: { ...ENDED, retryAtMs: NOW + 500 }, config: config({ generation: 4 }) },
      START,
    ],
    [
      'never restarted: failed',
      { observed: EXITED, record: RAN, config: config({ restart: { policy: 'never' } }) },
      ['remember', 'delete-runtime', 'report failed'],
    ],
    [
      'never restarted, but killed with its lease, which is no failure',
      {
        observed: { ...EXITED, exitCode: 137 },
        record: RAN,
        config: config({ restart: { policy: 'never' } }),
        leaseLost: true,
      },
      ['remember', 'delete-runtime'],
    ],
    [
      'after that it starts',
      { record: { ...ENDED, retryAtMs: undefined }, config: config({ restart: { policy: 'never' } }) },
      START,
    ],
    [
      'on-failure and no failure: finished',
      { observed: { ...EXITED, exitCode: 0 }, record: RAN, config: config({ restart: { policy: 'on-failure' } }) },
      ['remember', 'delete-runtime', 'report stopped'],
    ],
    [
      'what settled stays down',
      {
        record: {
          ...ENDED,
          settled: { by: 'exit', generation: 3, runGeneration: 2 },
          announced: { kind: 'failed', generation: 3 },
        },
      },
      [],
    ],
    [
      'a newer config wakes no settled one',
      {
        record: {
          ...ENDED,
          settled: { by: 'exit', generation: 3, runGeneration: 2 },
          announced: { kind: 'failed', generation: 3 },
        },
        config: config({ generation: 4 }),
      },
      ['report failed'],
    ],
    [
      'a fresh start does',
      {
        record: { ...ENDED, settled: { by: 'exit', generation: 3, runGeneration: 2 } },
        config: config({ generation: 4, runGeneration: 4 }),
      },
      START,
    ],
    [
      'a refused start is tried with a newer config',
      {
        record: { ...NEVER, attemptedGeneration: 2, settled: { by: 'start-failure', generation: 2, runGeneration: 2 } },
      },
      START,
    ],
    [
      'and not with the same',
      {
        record: {
          ...NEVER,
          attemptedGeneration: 3,
          settled: { by: 'start-failure', generation: 3, runGeneration: 2 },
          announced: { kind: 'failed', generation: 3 },
        },
      },
      [],
    ],
    [
      'stopped while it runs',
      { observed: RUNNING, record: RAN, config: config({ desired: 'stopped' }) },
      ['remember', 'report stopping', 'stop'],
    ],
    [
      'stopped after its end',
      { observed: EXITED, record: STOPPING, config: config({ desired: 'stopped' }) },
      ['remember', 'delete-runtime', 'report stopped'],
    ],
    [
      'stopped in backoff',
      { record: { ...ENDED, retryAtMs: NOW + 500 }, config: config({ desired: 'stopped' }) },
      ['remember', 'report stopped'],
    ],
    [
      'stopped and reported',
      { record: { ...ENDED, announced: { kind: 'stopped', generation: 3 } }, config: config({ desired: 'stopped' }) },
      [],
    ],
    [
      'removed while it runs',
      { observed: RUNNING, record: RAN, config: config({ desired: 'removed' }) },
      ['remember', 'report stopping', 'stop'],
    ],
    [
      'removed after its end',
      { observed: EXITED, record: RAN, config: config({ desired: 'removed' }) },
      ['delete-runtime'],
    ],
    ['removed, its data kept', { record: ENDED, config: config({ desired: 'removed' }) }, ['forget', 'report removed']],
    [
      'removed with its data',
      { record: ENDED, config: config({ desired: 'removed', deleteData: true }) },
      ['delete-volume', 'forget', 'report removed'],
    ],
    [
      'removed and reported',
      { record: { ...ENDED, announced: { kind: 'removed', generation: 3 } }, config: config({ desired: 'removed' }) },
      [],
    ],
  ])('%s', (_name, given, expected) => {
    const steps = plan(input(given));
    expect(
      steps.map((step) =>
        step.kind === 'report'
          ? `report ${step.report.kind}`
          : step.kind === 'wait-until'
            ? `wait-until ${step.atMs}`
            : step.kind,
      ),
    ).toEqual(expected);
    for (const step of steps) expect(describeStep(step)).not.toBe('');
  });

  it('counts restarts and names the delay', () => {
    const steps = plan(input({ observed: EXITED, record: { ...RAN, restartsInRow: 2 } }));
    expect(steps[0]).toMatchObject({
      change: { restartsInRow: 3, retryAtMs: NOW + 4_000, lastExit: { run: 1, exitCode: 1 } },
    });
    expect(steps[2]).toMatchObject({ report: { cause: 'exited', exitCode: 1, retryInMs: 4_000 } });
  });

  it.each([
    { of: 'went back an hour', jumpMs: -3_600_000, upMs: 120_000, restartsInRow: 1 },
    { of: 'went on an hour', jumpMs: 3_600_000, upMs: 2_000, restartsInRow: 3 },
  ])('measures a run of $upMs ms by the clock that does not jump when the time of day $of', (row) => {
    const record = { ...RAN, startedAtMs: NOW - row.upMs - 1_000, restartsInRow: 2 };
    const observed: Observed = { kind: 'exited', exitCode: 1, atMs: NOW - 1_000 + row.jumpMs, endedAtMs: NOW - 1_000 };
    expect(plan(input({ observed, record }))[0]).toMatchObject({ change: { restartsInRow: row.restartsInRow } });
  });

  it('gives up after the allowed retries', () => {
    const steps = plan(
      input({
        observed: EXITED,
        record: { ...RAN, restartsInRow: 2 },
        config: config({ restart: { policy: 'always', maxRetries: 2 } }),
      }),
    );
    expect(steps[0]).toMatchObject({ change: { settled: { by: 'exit', runGeneration: 2 } } });
    expect(steps[2]).toMatchObject({ report: { kind: 'failed', reason: 'crash-loop' }, withLogTail: true });
  });
});

describe('the record', () => {
  it('is closed by a reboot, whatever the restart policy', () => {
    const after = afterReboot({ ...RAN, retryAtMs: NOW + 1, restartsInRow: 4 }, 'boot-2', NOW);
    expect(
      plan(input({ record: after, config: config({ restart: { policy: 'never' } }) })).map(({ kind }) => kind),
    ).toEqual(START);
    expect(after.restartsInRow).toBe(0);
    expect(afterReboot(RAN, 'boot-1', NOW)).toBe(RAN);
  });

  it('counts a run that is missing from it', () => {
    expect(adopt(NEVER, RUNNING)).toMatchObject({ starts: 1, attemptedRunGeneration: 2 });
    expect(adopt(NEVER, EXITED).starts).toBe(1);
    expect(adopt(ENDED, EXITED)).toBe(ENDED);
    expect(adopt(RAN, RUNNING)).toBe(RAN);
  });

  it('tries refused starts again with a new agent', () => {
    expect(
      afterAgentStart({ ...NEVER, settled: { by: 'start-failure', generation: 3, runGeneration: 2 } }).settled,
    ).toBeUndefined();
    expect(
      afterAgentStart({ ...NEVER, settled: { by: 'exit', generation: 3, runGeneration: 2 } }).settled,
    ).toBeDefined();
  });

  it('never numbers a report below an earlier one', () => {
    expect(firstSequence({ ...NEVER, sequence: 2 ** 40 }, NOW)).toBe(2 ** 40);
    expect(firstSequence(NEVER, NOW + 1000)).toBe(firstSequence(NEVER, NOW) + 1);
    expect(firstSequence(NEVER, NOW)).toBeGreaterThan(0);
  });

  it('reports again how long it still waits', () => {
    expect(
      presentState(
        config(),
        { ...ENDED, retryAtMs: NOW + 300, announced: { kind: 'stopped', generation: 3, retryInMs: 1_000 } },
        NOW,
      ),
    ).toMatchObject({ retryInMs: 300 });
    expect(presentState(config(), NEVER, NOW)).toBeUndefined();
  });
});
