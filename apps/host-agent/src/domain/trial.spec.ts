/** Images on trial: every phase, with the observed and the desired state. */
import { describe, expect, it } from '@jest/globals';
import type { ContainerConfig, ContainerFailureReason, ImageUpdate } from '@plinth/contracts';
import { startingHealth } from './health.js';
import { emptyRecord, type Health, type LocalRecord, type Trial } from './local-record.js';
import type { Observed } from './observed.js';
import { planAfterCheck, planAfterFailure } from './failed-start.js';
import type { PlanInput } from './plan-input.js';
import { plan } from './planner.js';
import { describeStep, type Step } from './step.js';
import { effectiveConfig, presentConfig, trialReport } from './trial.js';
import { UPDATE_WAIT_MS } from './update-wait.js';
import { containerConfig } from '../testing/container-config.js';

const NOW = Date.UTC(2026, 5, 1);
const U = 'd'.repeat(32);
const OLD = 'debian-12@v1';
const NEW = 'debian-12@v2';
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const UPDATE: ImageUpdate = {
  updateId: U,
  knownGood: { image: OLD, contentDigest: digest('1'), runGeneration: 2 },
  stableSeconds: 5,
  soakSeconds: 60,
};
const HEALTH = { exec: ['/bin/true'], intervalSeconds: 2, timeoutSeconds: 1, retries: 3, startPeriodSeconds: 4 };

const config = (overrides: Partial<ContainerConfig> = {}): ContainerConfig =>
  containerConfig({
    generation: 4,
    runGeneration: 4,
    image: NEW,
    contentDigest: digest('2'),
    update: UPDATE,
    ...overrides,
  });

const TRYING: Trial = { updateId: U, image: NEW, phase: 'trying', told: false };
const CAUSE = { reason: 'exited' as const, message: 'it ended', exitCode: 3 };
const REVERTING: Trial = { ...TRYING, phase: 'reverting', told: true, cause: CAUSE, verdictAtMs: NOW - 100 };
/** The old image runs, as it was started before the update. */
const RAN_OLD: LocalRecord = {
  ...emptyRecord('boot'),
  attemptedGeneration: 2,
  attemptedRunGeneration: 2,
  attemptedImage: OLD,
  starts: 1,
  startedAtMs: NOW - 90_000,
  volumeMade: true,
  announced: { kind: 'started', generation: 2, pid: 7 },
};
/** The new image runs. */
const RAN_NEW: LocalRecord = {
  ...RAN_OLD,
  attemptedGeneration: 4,
  attemptedRunGeneration: 4,
  attemptedImage: NEW,
  starts: 2,
  startedAtMs: NOW - 1_000,
  lastExit: { run: 1, atMs: NOW - 2_000 },
  announced: { kind: 'started', generation: 4, pid: 8 },
};
const OLD_RUNS: Observed = { kind: 'running', pid: 7, startedAtMs: NOW - 90_000, runGeneration: 2, image: OLD };
const NEW_RUNS: Observed = { kind: 'running', pid: 8, startedAtMs: NOW - 1_000, runGeneration: 4, image: NEW };
const ENDED: Observed = { kind: 'exited', exitCode: 3, atMs: NOW };
const ABSENT: Observed = { kind: 'absent' };
/** A health check is part of the config. */
const ofHealth = (
  health: Partial<Health>,
  trial: Partial<Trial> = {},
  reported = health.state ?? 'starting',
): LocalRecord => ({
  ...RAN_NEW,
  trial: judged(trial),
  health: { ...startingHealth(2, NOW - 1_000), ...health },
  healthTold: { run: 2, state: reported },
});
const judged = (more: Partial<Trial> = {}): Trial => ({ ...TRYING, run: 2, ...more });

const input = (overrides: Partial<PlanInput>): PlanInput => ({
  config: config(),
  observed: NEW_RUNS,
  record: { ...RAN_NEW, trial: judged() },
  nowMs: NOW,
  ...overrides,
});
const shown = (steps: readonly Step[]): string[] =>
  steps.map((step) =>
    step.kind === 'wait-until'
      ? `wait ${(step.atMs - NOW) / 1000}`
      : step.kind === 'remember' || step.kind === 'report'
        ? describeStep(step)
        : step.kind,
  );
const START = ['create-volume', 'premount', 'start'];

describe('plan', () => {
  it.each<[string, Partial<PlanInput>, string[]]>([
    ['a new update is checked before any change', { observed: OLD_RUNS, record: RAN_OLD }, ['check-image']],
    [
      'also when nothing runs',
      { observed: ABSENT, record: { ...RAN_OLD, lastExit: { run: 1, atMs: NOW } } },
      ['check-image'],
    ],
    [
      'a check that the host has prevented is repeated after a pause',
      { observed: OLD_RUNS, record: { ...RAN_OLD, attemptedGeneration: 4, retryAtMs: NOW + 2_000 } },
      ['wait 2'],
    ],
    [
      'and at once with a newer config',
      { observed: OLD_RUNS, record: { ...RAN_OLD, attemptedGeneration: 3, retryAtMs: NOW + 2_000 } },
      ['check-image'],
    ],
    [
      'not while it is to be stopped',
      { observed: OLD_RUNS, record: RAN_OLD, config: config({ desired: 'stopped' }) },
      ['remember: asked to stop', 'report stopping', 'stop'],
    ],
    [
      'a checked one begins with a stop',
      { observed: OLD_RUNS, record: { ...RAN_OLD, trial: TRYING } },
      ['remember: asked to stop', 'report stopping', 'stop'],
    ],
    [
      'then it starts',
      { observed: ABSENT, record: { ...RAN_OLD, lastExit: { run: 1, atMs: NOW }, trial: TRYING } },
      START,
    ],
    [
      'with a copy of the data when that is wanted',
      {
        observed: ABSENT,
        record: { ...RAN_OLD, lastExit: { run: 1, atMs: NOW }, trial: TRYING },
        config: config({ update: { ...UPDATE, snapshotData: true } }),
      },
      ['make-snapshot', ...START],
    ],
    [
      'a copy that is made is not made again',
      {
        observed: ABSENT,
        record: { ...RAN_OLD, lastExit: { run: 1, atMs: NOW }, trial: { ...TRYING, snapshot: 'made' } },
        config: config({ update: { ...UPDATE, snapshotData: true } }),
      },
      START,
    ],
    [
      'a refused one is reported',
      { observed: OLD_RUNS, record: { ...RAN_OLD, trial: { ...TRYING, phase: 'refused', cause: CAUSE } } },
      ['report update-refused'],
    ],
    [
      'and what runs is acknowledged, not restarted',
      { observed: OLD_RUNS, record: { ...RAN_OLD, trial: { ...TRYING, phase: 'refused', told: true, cause: CAUSE } } },
      ['apply'],
    ],
    [
      'a run is judged from its start',
      { record: { ...RAN_NEW, trial: TRYING } },
      ['remember: a run is judged from its start'],
    ],
    ['without a health check it has to stay up', {}, ['wait 4']],
    ['and then has passed the gate', { nowMs: NOW + 4_000 }, ['remember: gate passed: it stayed up']],
    ['after the gate comes the soak time', { record: { ...RAN_NEW, trial: judged({ gateAtMs: NOW }) } }, ['wait 60']],
    [
      'and then it is known good',
      { record: { ...RAN_NEW, trial: judged({ gateAtMs: NOW }) }, nowMs: NOW + 60_000 },
      ['remember: soak time passed: the image is known good'],
    ],
    ['which is reported', { record: { ...RAN_NEW, trial: judged({ phase: 'passed' }) } }, ['report updated']],
    [
      'and the copy of the data removed',
      { record: { ...RAN_NEW, trial: judged({ phase: 'passed', told: true, snapshot: 'made' }) } },
      ['discard-snapshot'],
    ],
    ['then there is nothing to do', { record: { ...RAN_NEW, trial: judged({ phase: 'passed', told: true }) } }, []],
    ['with a health check it waits for that', { config: config({ health: HEALTH }), record: ofHealth({}) }, []],
    [
      'and has passed the gate with the first success',
      { config: config({ health: HEALTH }), record: ofHealth({ state: 'healthy', healthyAtMs: NOW - 100 }) },
      ['remember: gate passed: healthy'],
    ],
    [
      'the soak time counts from there',
      {
        config: config({ health: HEALTH }),
        record: ofHealth({ state: 'healthy', healthyAtMs: NOW - 100 }, { gateAtMs: NOW - 59_500 }),
      },
      ['wait 0.5'],
    ],
    [
      'unhealthy is a verdict, and no fact of its own',
      {
        config: config({ health: HEALTH }),
        record: ofHealth({ state: 'unhealthy', failedChecks: 3 }, {}, 'starting'),
      },
      ['remember: unhealthy on trial'],
    ],
    [
      'also at the end of the soak time',
      {
        config: config({ health: HEALTH, restart: { policy: 'never' } }),
        record: ofHealth({ state: 'unhealthy', failedChecks: 3 }, { gateAtMs: NOW - 60_000 }, 'healthy'),
      },
      ['remember: unhealthy on trial'],
    ],
    [
      'an end on trial is a verdict, whatever the restart policy',
      { observed: ENDED },
      ['remember: ended on trial', 'delete-runtime'],
    ],
    [
      'an end in the soak time too',
      { observed: ENDED, record: { ...RAN_NEW, trial: judged({ gateAtMs: NOW - 30_000 }) } },
      ['remember: ended on trial', 'delete-runtime'],
    ],
    [
      'a clean end that its policy lets be is none',
      { observed: { kind: 'exited', exitCode: 0, atMs: NOW }, config: config({ restart: { policy: 'never' } }) },
      ['remember: ended, finished', 'delete-runtime', 'report stopped'],
    ],
    [
      'an end with the lease on its volume is none',
      { observed: { ...ENDED, exitCode: 137 }, leaseLost: true },
      ['remember: ended with its lease', 'delete-runtime'],
    ],
    [
      'an end of its own while the lease ended is one',
      { observed: ENDED, leaseLost: true },
      ['remember: ended on trial', 'delete-runtime'],
    ],
    [
      'a verdict is reported before it is acted on',
      {
        observed: ABSENT,
        record: { ...RAN_NEW, lastExit: { run: 2, atMs: NOW }, trial: { ...REVERTING, told: false } },
      },
      ['report reverting'],
    ],
    [
      'what failed and still runs is halted',
      { record: { ...RAN_NEW, trial: REVERTING } },
      ['remember: asked to stop', 'report stopping', 'stop'],
    ],
    [
      'its end is not answered by the restart policy',
      { observed: ENDED, record: { ...RAN_NEW, trial: REVERTING } },
      ['remember: ended for a fresh start', 'delete-runtime'],
    ],
    [
      'then the known good image starts',
      { observed: ABSENT, record: { ...RAN_NEW, lastExit: { run: 2, atMs: NOW }, trial: REVERTING } },
      START,
    ],
    [
      'with its data as it was',
      {
        observed: ABSENT,
        record: { ...RAN_NEW, lastExit: { run: 2, atMs: NOW }, trial: { ...REVERTING, snapshot: 'made' } },
      },
      ['restore-snapshot', ...START],
    ],
    [
      'when it runs, that is remembered',
      { observed: { ...NEW_RUNS, image: OLD }, record: { ...RAN_NEW, attemptedImage: OLD, trial: REVERTING } },
      ['remember: the known good image runs'],
    ],
    [
      'and reported',
      {
        observed: { ...NEW_RUNS, image: OLD },
        record: { ...RAN_NEW, attemptedImage: OLD, trial: { ...REVERTING, phase: 'reverted', told: false } },
      },
      ['report reverted'],
    ],
    [
      'once',
      {
        observed: { ...NEW_RUNS, image: OLD },
        record: { ...RAN_NEW, attemptedImage: OLD, trial: { ...REVERTING, phase: 'reverted' } },
      },
      [],
    ],
    [
      'the config that follows a success restarts nothing',
      {
        config: config({ generation: 5, update: undefined }),
        record: { ...RAN_NEW, trial: judged({ phase: 'passed', told: true }) },
      },
      ['remember: the update is over'],
    ],
    [
      'the config that follows a revert restarts nothing',
      {
        config: config({ generation: 5, update: undefined, image: OLD }),
        observed: { ...NEW_RUNS, image: OLD },
        record: { ...RAN_NEW, attemptedImage: OLD },
      },
      ['apply'],
    ],
    [
      'the config that follows a refusal restarts nothing',
      {
        config: config({ generation: 5, runGeneration: 2, update: undefined, image: OLD }),
        observed: OLD_RUNS,
        record: RAN_OLD,
      },
      ['apply'],
    ],
    [
      'an update that was taken back gives the data back too',
      {
        config: config({ generation: 5, runGeneration: 5, update: undefined, image: OLD }),
        observed: ABSENT,
        record: { ...RAN_NEW, lastExit: { run: 2, atMs: NOW }, trial: judged({ snapshot: 'made' }) },
      },
      ['restore-snapshot', ...START],
    ],
    [
      'another update takes the place of the one before',
      { config: config({ generation: 5, runGeneration: 5, update: { ...UPDATE, updateId: 'e'.repeat(32) } }) },
      ['check-image'],
    ],
    [
      'a stop in the middle is obeyed',
      { config: config({ generation: 5, desired: 'stopped' }) },
      ['remember: asked to stop', 'report stopping', 'stop'],
    ],
    [
      'a removal in the middle removes the copy first',
      {
        config: config({ generation: 5, desired: 'removed', update: undefined }),
        observed: ABSENT,
        record: { ...RAN_NEW, lastExit: { run: 2, atMs: NOW }, trial: judged({ snapshot: 'made' }) },
      },
      ['discard-snapshot'],
    ],
  ])('%s', (_, overrides, steps) => expect(shown(plan(input(overrides)))).toEqual(steps));
});

describe('the check of a new update', () => {
  const changeOf = (steps: readonly Step[]): unknown =>
    steps.map((step) => (step.kind === 'remember' ? step.change : step.kind));
  const old = { observed: OLD_RUNS, record: RAN_OLD };
  it.each<[string, Partial<PlanInput>, ContainerFailureReason | undefined, unknown]>([
    [
      'that it passes puts it on trial',
      old,
      undefined,
      [{ trial: { ...TRYING, cause: undefined, snapshot: undefined } }],
    ],
    [
      'that it does not pass refuses it',
      old,
      'image-missing',
      [{ trial: expect.objectContaining({ phase: 'refused' }) }],
    ],
    [
      'that the host prevents is repeated, and the old image runs on',
      old,
      'volume-held',
      [{ attemptedGeneration: 4, failedStartsInRow: 1, retryAtMs: NOW + 1_000 }],
    ],
    [
      'that the host prevents where nothing runs is a failed start',
      { observed: ABSENT, record: { ...RAN_OLD, lastExit: { run: 1, atMs: NOW } } },
      'volume-held',
      [
        'delete-runtime',
        { attemptedGeneration: 4, attemptedRunGeneration: 4, failedStartsInRow: 1, retryAtMs: NOW + 1_000 },
        'report',
      ],
    ],
  ])('%s', (_, overrides, reason, changes) =>
    expect(changeOf(planAfterCheck(input(overrides), reason && { reason, message: 'no' }))).toEqual(changes),
  );
});

describe('a start that fails', () => {
  const failure = { reason: 'mount-script-failed' as const, message: 'no' };
  it('is the verdict of an image on trial, without a second try', () => {
    const steps = planAfterFailure(input({ observed: ABSENT }), failure);
    expect(steps.map(({ kind }) => kind)).toEqual(['delete-runtime', 'remember']);
    const [, remember] = steps;
    expect(remember?.kind === 'remember' && remember.change.trial).toMatchObject({
      phase: 'reverting',
      told: false,
      verdictAtMs: NOW,
      cause: { reason: 'mount-script-failed' },
    });
  });
  it.each(['lease-lost', 'volume-held'] as const)(
    'for want of the volume (%s) is no verdict on the image, and is tried again',
    (reason) => {
      const record = { ...RAN_NEW, trial: judged(), lastExit: { run: RAN_NEW.starts, atMs: NOW } };
      const [, remember, report] = planAfterFailure(input({ observed: ABSENT, record }), { reason, message: 'no' });
      expect(remember?.kind === 'remember' && remember.change).toEqual({
        attemptedGeneration: 4,
        attemptedRunGeneration: 4,
        failedStartsInRow: 1,
        retryAtMs: NOW + 1_000,
      });
      expect(report?.kind === 'report' && report.report).toMatchObject({
        kind: 'failed',
        reason,
        retryInMs: 1_000,
        image: NEW,
      });
    },
  );
  it.each(['mount-script-failed', 'command-not-found', 'network-not-allowed'] as const)(
    'on the way back is tried again, loudly, also for %s',
    (reason) => {
      const [, , report] = planAfterFailure(input({ observed: ABSENT, record: { ...RAN_NEW, trial: REVERTING } }), {
        reason,
        message: 'no',
      });
      expect(report?.kind === 'report' && report.report).toMatchObject({
        kind: 'failed',
        reason: 'revert-failed',
        retryInMs: 1_000,
        image: OLD,
      });
    },
  );
});

describe('the config to act on', () => {
  it.each<[Trial['phase'], string, number]>([
    ['trying', NEW, 4],
    ['passed', NEW, 4],
    ['reverting', OLD, 4],
    ['reverted', OLD, 4],
    ['refused', OLD, 2],
  ])('%s: %s at run generation %i', (phase, image, runGeneration) =>
    expect(effectiveConfig(config(), { ...RAN_NEW, trial: { ...TRYING, phase } })).toMatchObject({
      image,
      runGeneration,
    }),
  );
  it('is the config itself for another update', () =>
    expect(
      effectiveConfig(config(), { ...RAN_NEW, trial: { ...TRYING, updateId: 'e'.repeat(32), phase: 'reverted' } })
        .image,
    ).toBe(NEW));
});

describe('the report of a verdict', () => {
  it('names both images, cause and time of a revert', () =>
    expect(trialReport(config(), { ...REVERTING, phase: 'reverted' }, 40)).toMatchObject({
      kind: 'reverted',
      image: OLD,
      failedImage: NEW,
      reason: 'exited',
      exitCode: 3,
      durationMs: 40,
      updateId: U,
    }));
  it('is none while the image is on trial', () => expect(trialReport(config(), TRYING)).toBeUndefined());
});

describe('while the image of an update is being fetched', () => {
  const failure = { reason: 'image-unavailable', message: 'no source answers' } as const;

  it.each<[string, LocalRecord, Parameters<typeof presentConfig>[2], string]>([
    ['the known good one runs', RAN_OLD, new Map([[NEW, {}]]), OLD],
    ['also after a failed try', RAN_OLD, new Map([[NEW, { retryInMs: 250, failure }]]), OLD],
    ['the update is planned when it is given up', RAN_OLD, new Map([[NEW, { failure }]]), NEW],
    ['the update is planned when it is there', RAN_OLD, undefined, NEW],
    ['a trial goes on', { ...RAN_NEW, trial: judged() }, new Map([[NEW, {}]]), NEW],
  ])('%s', (_, record, missing, image) => {
    const present = presentConfig(config(), record, missing);
    expect(present.image).toBe(image);
    expect(present.update === undefined).toBe(image === OLD);
  });

  const waits = (missing: PlanInput['missing'], awaiting?: LocalRecord['awaiting'], trial?: Trial): readonly Step[] => {
    const record: LocalRecord = {
      ...RAN_OLD,
      announced: { kind: 'started', generation: 4, pid: 7 },
      ...(awaiting && { awaiting }),
      ...(trial && { trial }),
    };
    const present = presentConfig(config(), record, missing);
    return plan(input({ config: present, asked: config(), observed: OLD_RUNS, record, missing }));
  };
  const UNREACHABLE: PlanInput['missing'] = new Map([[NEW, { retryInMs: 250, failure }]]);
  const since = (sinceMs: number): LocalRecord['awaiting'] => ({ updateId: U, sinceMs });

  it.each<[string, PlanInput['missing'], LocalRecord['awaiting'], Trial | undefined, readonly object[]]>([
    ['is counted from when it begins', UNREACHABLE, undefined, undefined, [{ change: { awaiting: since(NOW) } }]],
    [
      'is counted again for another update',
      UNREACHABLE,
      { updateId: 'e'.repeat(32), sinceMs: 0 },
      undefined,
      [{ change: { awaiting: since(NOW) } }],
    ],
    [
      'lasts its time',
      UNREACHABLE,
      since(NOW - UPDATE_WAIT_MS + 1),
      undefined,
      [{ kind: 'wait-until', atMs: NOW + 1 }],
    ],
    [
      'ends with the reason of the last failure',
      UNREACHABLE,
      since(NOW - UPDATE_WAIT_MS),
      undefined,
      [
        {
          change: {
            awaiting: undefined,
            trial: {
              ...{ updateId: U, image: NEW, phase: 'refused', told: false },
              cause: {
                reason: 'image-unavailable',
                message: 'no source answers; the update has waited for it for 30 min',
              },
            },
          },
        },
      ],
    ],
    [
      'ends while it is being fetched',
      new Map([[NEW, {}]]),
      since(NOW - UPDATE_WAIT_MS),
      undefined,
      [{ change: { trial: { phase: 'refused', cause: { reason: 'image-unavailable' } } } }],
    ],
    [
      'is over when it was refused, and that is reported',
      UNREACHABLE,
      undefined,
      { ...TRYING, phase: 'refused', cause: failure },
      [{ report: { kind: 'update-refused', reason: 'image-unavailable' } }],
    ],
  ])('the wait %s', (_, missing, awaiting, trial, expected) => {
    const steps = waits(missing, awaiting, trial);
    expect(steps).toHaveLength(expected.length);
    expect(steps).toMatchObject(expected);
  });

  it('what runs is left alone', () => {
    const missing = new Map([[NEW, {}]]);
    const present = presentConfig(config(), RAN_OLD, missing);
    const record: LocalRecord = { ...RAN_OLD, announced: { kind: 'started', generation: 4, pid: 7 } };
    expect(shown(plan(input({ config: present, observed: OLD_RUNS, record, missing })))).toEqual([]);
  });
});
