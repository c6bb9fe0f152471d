/** Health checks: the state of a run after results, and the steps of the agent. */
import { describe, expect, it } from '@jest/globals';
import { type ContainerConfig, decodePayload, FailedCheck, type HealthState } from '@plinth/contracts';
import { afterCheck, checkTarget, reportedHealth, inStartPeriod, startingHealth, unhealthyMessage } from './health.js';
import { emptyRecord, type Health, type LocalRecord } from './local-record.js';
import type { Observed } from './observed.js';
import type { PlanInput } from './plan-input.js';
import { plan, presentState } from './planner.js';
import type { Step } from './step.js';
import { containerConfig } from '../testing/container-config.js';

const NOW = Date.UTC(2026, 5, 1);
const CHECK = { exec: ['/bin/true'], intervalSeconds: 10, timeoutSeconds: 1, retries: 3, startPeriodSeconds: 4 };
const STARTED = NOW - 100_000;

const config = (overrides: Partial<ContainerConfig> = {}): ContainerConfig =>
  containerConfig({ health: CHECK, ...overrides });

describe('results of checks', () => {
  /** g: success, b: failure; one a second, the first at the given second after the start. */
  it.each<[string, number, HealthState, number]>([
    ['', 10, 'starting', 0],
    ['g', 0, 'healthy', 0],
    ['b', 10, 'starting', 1],
    ['bb', 10, 'starting', 2],
    ['bbb', 10, 'unhealthy', 3],
    ['bbbb', 10, 'unhealthy', 4],
    ['bbg', 10, 'healthy', 0],
    ['bbgbb', 10, 'healthy', 2],
    ['bbgbbb', 10, 'unhealthy', 3],
    ['bbbg', 10, 'healthy', 0],
    ['bbbgb', 10, 'healthy', 1],
    // The start period is 4 s.
    ['bbbb', 0, 'starting', 0],
    ['bbbbb', 0, 'starting', 1],
    ['bbbbbbb', 0, 'unhealthy', 3],
    ['gbb', 0, 'healthy', 2],
    ['gbbb', 0, 'unhealthy', 3],
  ])('%j from second %i on: %s, %i failed in a row', (results, first, state, failedChecks) => {
    let health = startingHealth(1, STARTED);
    [...results].forEach((result, index) => {
      const nowMs = STARTED + (first + index) * 1000;
      health = afterCheck(health, CHECK, { healthy: result === 'g', message: 'no', output: '' }, STARTED, nowMs);
    });
    expect(health).toMatchObject({ state, failedChecks });
  });

  it('leave a healthy run unchanged when they succeed', () => {
    const healthy = afterCheck(
      startingHealth(1, STARTED),
      CHECK,
      { healthy: true, message: '', output: '' },
      STARTED,
      NOW,
    );
    expect(afterCheck(healthy, CHECK, { healthy: true, message: '', output: '' }, STARTED, NOW + 1)).toBe(healthy);
  });

  it('keep the time of the change, and of the first success', () => {
    let health = startingHealth(1, STARTED);
    for (const [second, healthy] of [true, false, false, false, true, true].entries())
      health = afterCheck(health, CHECK, { healthy, message: '', output: '' }, STARTED, NOW + second);
    expect(health).toMatchObject({ sinceMs: NOW + 4, healthyAtMs: NOW });
  });

  it('keep the last failures only, in a form that reports carry', () => {
    let health = startingHealth(1, STARTED);
    for (let index = 0; index < 9; index++)
      health = afterCheck(
        health,
        CHECK,
        { healthy: false, message: 'm'.repeat(9_000), output: `${'x'.repeat(9_000)}\u0000\u001b[31m\ud800é\n${index}` },
        STARTED,
        NOW + index,
      );
    expect(health.failures).toHaveLength(5);
    for (const { atMs, message, output } of health.failures) {
      const body = Buffer.from(JSON.stringify({ at: new Date(atMs).toISOString(), message, output }));
      expect(decodePayload(FailedCheck, body).ok).toBe(true);
    }
    expect(health.failures.at(-1)?.output).toMatch(/x\ufffd\ufffd\[31m\ufffdé\n8$/u);
  });

  it('end the start period with the first success', () => {
    expect(inStartPeriod({ state: 'starting' }, CHECK, NOW, NOW + 3_999)).toBe(true);
    expect(inStartPeriod({ state: 'starting' }, CHECK, NOW, NOW + 4_000)).toBe(false);
    expect(inStartPeriod({ state: 'healthy' }, CHECK, NOW, NOW)).toBe(false);
  });
});

const RAN: LocalRecord = {
  ...emptyRecord('boot'),
  attemptedGeneration: 3,
  attemptedRunGeneration: 2,
  starts: 2,
  startedAtMs: STARTED,
  lastExit: { run: 1, atMs: STARTED - 1 },
  volumeMade: true,
  announced: { kind: 'started', generation: 3, pid: 7 },
};
const RUNNING: Observed = { kind: 'running', pid: 7, startedAtMs: STARTED, runGeneration: 2 };
const ENDED: Observed = { kind: 'exited', exitCode: 0, atMs: NOW };
const FAILURE = { atMs: NOW, message: 'exit code 1', output: 'no answer' };
const health = (state: HealthState, more: Partial<Health> = {}): Health => ({
  ...startingHealth(2, STARTED),
  state,
  failedChecks: state === 'unhealthy' ? 3 : 0,
  failures: state === 'unhealthy' ? [FAILURE] : [],
  ...more,
});
/** A record with the health that was found and the health that was reported. */
const record = (
  found: HealthState,
  reported: HealthState | undefined,
  more: Partial<LocalRecord> = {},
): LocalRecord => ({
  ...RAN,
  health: health(found),
  ...(reported && { healthTold: { run: 2, state: reported } }),
  ...more,
});
const described = (step: Step): string =>
  step.kind === 'report' ? `report ${step.report.kind}` : step.kind === 'remember' ? `remember ${step.why}` : step.kind;
const STOP = ['remember unhealthy', 'report stopping', 'stop'];
const UNHEALTHY_STOP = { signalledAtMs: NOW - 1_000, deadlineMs: NOW, unhealthy: true } as const;

describe('the plan', () => {
  it.each<[string, Partial<PlanInput>, string[]]>([
    ['a run begins as starting', { record: RAN }, ['remember health: starting']],
    ['which the report of the start contained', { record: record('starting', undefined) }, []],
    [
      'what was found is remembered first',
      { record: record('starting', undefined), health: health('healthy') },
      ['remember health: healthy'],
    ],
    ['and reported then', { record: record('healthy', undefined) }, ['report healthy']],
    ['once', { record: record('healthy', 'healthy') }, []],
    [
      'the health of another run is ignored',
      { record: record('healthy', 'healthy'), health: health('unhealthy', { run: 1 }) },
      [],
    ],
    [
      'a failure that changes nothing is not reported',
      { record: { ...record('healthy', 'healthy'), health: health('healthy', { failedChecks: 2 }) } },
      [],
    ],
    ['unhealthy is reported before anything is done', { record: record('unhealthy', 'healthy') }, ['report unhealthy']],
    ['then it is stopped', { record: record('unhealthy', 'unhealthy') }, STOP],
    [
      'also when it should only start again on failure',
      { record: record('unhealthy', 'unhealthy'), config: config({ restart: { policy: 'on-failure' } }) },
      STOP,
    ],
    [
      'never restarted: it goes on',
      { record: record('unhealthy', 'unhealthy'), config: config({ restart: { policy: 'never' } }) },
      [],
    ],
    [
      'restarted as often as allowed: it goes on',
      {
        record: record('unhealthy', 'unhealthy', { restartsInRow: 2 }),
        config: config({ restart: { policy: 'always', maxRetries: 2 } }),
      },
      [],
    ],
    [
      'but not when it was healthy for long',
      {
        record: {
          ...record('unhealthy', 'unhealthy', { restartsInRow: 2 }),
          health: health('unhealthy', { healthyAtMs: NOW - 60_000 }),
        },
        config: config({ restart: { policy: 'always', maxRetries: 2 } }),
      },
      STOP,
    ],
    [
      'and healthy again is reported',
      { record: record('healthy', 'unhealthy'), config: config({ restart: { policy: 'never' } }) },
      ['report healthy'],
    ],
    ['after the grace it is killed', { record: record('unhealthy', 'unhealthy', { stop: UNHEALTHY_STOP }) }, ['kill']],
    [
      'a stop that was begun is ended, healthy again or not',
      { record: record('healthy', 'healthy', { stop: UNHEALTHY_STOP }) },
      ['kill'],
    ],
    [
      'its end waits for the restart, as any other',
      { record: record('unhealthy', 'unhealthy', { stop: UNHEALTHY_STOP }), observed: ENDED },
      ['remember ended, restart', 'delete-runtime', 'report stopped'],
    ],
    [
      'stopped by a person meanwhile',
      {
        record: record('unhealthy', 'unhealthy', { stop: UNHEALTHY_STOP }),
        observed: ENDED,
        config: config({ desired: 'stopped' }),
      },
      ['remember stopped as asked', 'delete-runtime', 'report stopped'],
    ],
    [
      'restarted by a person meanwhile',
      {
        record: record('unhealthy', 'unhealthy', { stop: UNHEALTHY_STOP }),
        observed: ENDED,
        config: config({ runGeneration: 3 }),
      },
      ['remember ended for a fresh start', 'delete-runtime'],
    ],
    [
      'a check that was taken out of the config',
      { record: record('unhealthy', 'unhealthy'), config: config({ health: undefined }) },
      ['remember it has no health check'],
    ],
  ])('%s', (_what, given, expected) =>
    expect(plan({ config: config(), observed: RUNNING, record: RAN, nowMs: NOW, ...given }).map(described)).toEqual(
      expected,
    ),
  );

  it('waits longer with every restart', () => {
    const given = record('unhealthy', 'unhealthy', { stop: UNHEALTHY_STOP, restartsInRow: 3 });
    const steps = plan({ config: config(), observed: ENDED, record: given, nowMs: NOW });
    expect(steps[0]).toMatchObject({ change: { stop: undefined, restartsInRow: 4, retryAtMs: NOW + 8_000 } });
    expect(steps[2]).toMatchObject({
      report: { cause: 'unhealthy', retryInMs: 8_000, message: unhealthyMessage(health('unhealthy')) },
    });
  });

  it('reports why, and whether it starts again', () => {
    const [step] = plan({ config: config(), observed: RUNNING, record: record('unhealthy', 'healthy'), nowMs: NOW });
    expect(step).toMatchObject({
      report: {
        health: 'unhealthy',
        message: 'its health check failed 3 times in a row: exit code 1',
        failedChecks: [{ at: new Date(NOW).toISOString(), message: 'exit code 1', output: 'no answer' }],
        willRestart: true,
      },
      change: { healthTold: { run: 2, state: 'unhealthy' } },
    });
  });
});

describe('the repeated report', () => {
  it.each<[string, LocalRecord, Partial<ContainerConfig>, object]>([
    [
      'the health that was reported',
      record('unhealthy', 'unhealthy'),
      {},
      { health: 'unhealthy', message: unhealthyMessage(health('unhealthy')) },
    ],
    ['not the one that was only found', record('unhealthy', 'healthy'), {}, { health: 'healthy' }],
    ['starting, when nothing was', record('starting', undefined), {}, { health: 'starting' }],
    ['nothing of another run', { ...RAN, healthTold: { run: 1, state: 'unhealthy' } }, {}, { health: 'starting' }],
    ['nothing without a check', record('unhealthy', 'unhealthy'), { health: undefined }, { health: undefined }],
  ])('%s', (_what, given, overrides, expected) => {
    expect(presentState(config(overrides), given, NOW)).toMatchObject({ kind: 'started', ...expected });
    const newer = plan({
      config: config({ generation: 4, ...overrides }),
      observed: RUNNING,
      record: given,
      nowMs: NOW,
    });
    expect(newer[0]).toMatchObject({ report: { kind: 'started', generation: 4, ...expected } });
  });
  it('is known for a run without a check', () =>
    expect(reportedHealth(config({ health: undefined }), RAN)).toBeUndefined());
});

describe('the containers that are checked', () => {
  it.each<[string, Partial<ContainerConfig>, LocalRecord, Observed, boolean]>([
    ['a container that runs', {}, RAN, RUNNING, true],
    ['none without a check', { health: undefined }, RAN, RUNNING, false],
    ['none that has ended', {}, RAN, ENDED, false],
    ['none that is being stopped', {}, { ...RAN, stop: UNHEALTHY_STOP }, RUNNING, false],
    ['none that is to be stopped', { desired: 'stopped' }, RAN, RUNNING, false],
    ['none that is to be restarted', { runGeneration: 3 }, RAN, RUNNING, false],
  ])('%s', (_what, overrides, given, observed, expected) =>
    expect(checkTarget(config(overrides), given, observed, false) !== undefined).toBe(expected),
  );
});
