/**
 * An image on trial: from the checks before any change to the verdict, and back to the known good image when it failed
 * (US 9,075,638: "should an OS update fail, the container is halted, the configuration property is reverted back to a
 * known good value and the container is restarted"). Pure; a decision is in the record before it is acted on.
 */
import type { ContainerConfig } from '@plinth/contracts';
import { healthOf, unhealthyMessage } from './health.js';
import { isGivenUp, type MissingImage } from './image-supply.js';
import type { LocalRecord, ReportBody, Trial, TrialCause } from './local-record.js';
import type { Running } from './observed.js';
import type { Step } from './step.js';

/** The trial of this config's update; undefined: the update was not accepted yet, or there is none. */
export function trialOf(config: ContainerConfig, record: LocalRecord): Trial | undefined {
  return config.update && record.trial?.updateId === config.update.updateId ? record.trial : undefined;
}

/** The config to act on: after a verdict it holds the image that is to run. */
export function effectiveConfig(config: ContainerConfig, record: LocalRecord): ContainerConfig {
  const trial = trialOf(config, record);
  if (!config.update || !trial) return config;
  const { image, contentDigest, runGeneration } = config.update.knownGood;
  if (trial.phase === 'refused') return { ...config, image, contentDigest, runGeneration };
  if (trial.phase === 'reverting' || trial.phase === 'reverted') return { ...config, image, contentDigest };
  return config;
}

/**
 * The config to plan for: while the image of an update is being fetched, the one of before, so that the known good
 * image runs on.
 * @param missing images that this host has to fetch first
 */
export function presentConfig(
  config: ContainerConfig,
  record: LocalRecord,
  missing: ReadonlyMap<string, MissingImage> | undefined,
): ContainerConfig {
  const awaited = missing?.get(config.image);
  if (!config.update || !awaited || isGivenUp(awaited) || trialOf(config, record)) return config;
  const { image, contentDigest, runGeneration } = config.update.knownGood;
  return { ...config, image, contentDigest, runGeneration, update: undefined };
}

/** Whether the image is on trial: then every failed end of a run and every failed start is its verdict. */
export function isTrying(config: ContainerConfig, record: LocalRecord): boolean {
  return trialOf(config, record)?.phase === 'trying';
}

/** The trial of an update that was checked; with a cause it is refused. */
export function acceptedTrial(updateId: string, image: string, { trial }: LocalRecord, cause?: TrialCause): Trial {
  // A copy that an earlier update has left holds the same data.
  const snapshot = trial?.snapshot === 'made' ? 'made' : undefined;
  return { updateId, image, phase: cause ? 'refused' : 'trying', told: false, cause, snapshot };
}

/** The steps before all others: accept an update, report a verdict, clean up after an update. Empty: go on. */
export function planBefore(config: ContainerConfig, record: LocalRecord, nowMs: number): readonly Step[] {
  const { trial, retryAtMs } = record;
  const present = trialOf(config, record);
  if (config.update && !present) {
    if (config.desired !== 'running') return [];
    if (retryAtMs !== undefined && retryAtMs > nowMs && config.generation <= record.attemptedGeneration)
      return [{ kind: 'wait-until', atMs: retryAtMs, why: 'the update is checked again' }];
    // A copy for the same known good image is kept: it holds the data from before both updates.
    return trial?.snapshot === 'made' && config.update.snapshotData !== true
      ? [{ kind: 'discard-snapshot' }, { kind: 'check-image' }]
      : [{ kind: 'check-image' }];
  }
  if (trial && !present) {
    if (trial.snapshot !== 'made')
      return [{ kind: 'remember', change: { trial: undefined }, why: 'the update is over' }];
    // The update was withdrawn while it was on trial: its copy is restored before the start.
    return config.desired !== 'removed' && config.image !== trial.image ? [] : [{ kind: 'discard-snapshot' }];
  }
  if (
    present &&
    !present.told &&
    (present.phase === 'passed' || present.phase === 'refused' || present.phase === 'reverting')
  )
    return reportVerdict(config, present);
  if (present?.phase === 'passed' && present.snapshot === 'made') return [{ kind: 'discard-snapshot' }];
  return [];
}

/** The steps right before a start. */
export function planBeforeStart(config: ContainerConfig, record: LocalRecord): readonly Step[] {
  const { trial } = record;
  if (!trial) return [];
  if (trial.phase === 'trying' && trialOf(config, record)) {
    return config.update?.snapshotData === true && trial.snapshot === undefined && record.volumeMade
      ? [{ kind: 'make-snapshot' }]
      : [];
  }
  return trial.snapshot === 'made' && config.image !== trial.image ? [{ kind: 'restore-snapshot' }] : [];
}

/**
 * The steps for a container that runs on trial, or again after a failed trial. Empty: nothing to do until something
 * changes.
 */
export function planTrial(
  config: ContainerConfig,
  record: LocalRecord,
  running: Running,
  nowMs: number,
): readonly Step[] {
  const trial = trialOf(config, record);
  if (!config.update || !trial) return [];
  if (trial.phase === 'reverting')
    return [
      {
        kind: 'remember',
        change: { trial: { ...trial, phase: 'reverted', told: false } },
        why: 'the known good image runs',
      },
    ];
  if (trial.phase === 'reverted' && !trial.told)
    return reportVerdict(config, trial, Math.max(0, running.startedAtMs - (trial.verdictAtMs ?? running.startedAtMs)));
  if (trial.phase !== 'trying') return [];
  const ofThisRun = trial.run === record.starts ? trial : { ...trial, run: record.starts, gateAtMs: undefined };
  if (ofThisRun !== trial)
    return [{ kind: 'remember', change: { trial: ofThisRun }, why: 'a run is judged from its start' }];
  const { gateAtMs } = trial;
  const soakEndMs = gateAtMs === undefined ? undefined : gateAtMs + config.update.soakSeconds * 1000;
  const health = config.health && healthOf(record);
  if (health?.state === 'unhealthy')
    return [
      {
        kind: 'remember',
        change: trialFailed(
          record,
          { reason: 'unhealthy', message: unhealthyMessage(health), checkOutput: health.failures.at(-1)?.output },
          nowMs,
        ),
        why: 'unhealthy on trial',
      },
    ];
  if (soakEndMs !== undefined && nowMs >= soakEndMs) return [passed(trial)];
  if (soakEndMs !== undefined) return [{ kind: 'wait-until', atMs: soakEndMs, why: 'soak time' }];
  if (config.health) {
    const healthyAtMs = health?.healthyAtMs;
    if (healthyAtMs === undefined) return [];
    return [{ kind: 'remember', change: { trial: { ...trial, gateAtMs: healthyAtMs } }, why: 'gate passed: healthy' }];
  }
  const stableAtMs = running.startedAtMs + config.update.stableSeconds * 1000;
  if (nowMs < stableAtMs) return [{ kind: 'wait-until', atMs: stableAtMs, why: 'it has to stay up' }];
  return [
    { kind: 'remember', change: { trial: { ...trial, gateAtMs: stableAtMs } }, why: 'gate passed: it stayed up' },
  ];
}

function passed(trial: Trial): Step {
  return {
    kind: 'remember',
    change: { trial: { ...trial, phase: 'passed', told: false } },
    why: 'soak time passed: the image is known good',
  };
}

/** The change after a clean end that the restart policy allows: the image has passed. */
export function trialFinished(record: LocalRecord): Partial<LocalRecord> {
  return record.trial ? { trial: { ...record.trial, phase: 'passed', told: false } } : {};
}

/** The change when the image has failed; the known good one is started without delay. */
export function trialFailed(record: LocalRecord, cause: TrialCause, nowMs: number): Partial<LocalRecord> {
  if (!record.trial) return {};
  const trial: Trial = { ...record.trial, phase: 'reverting', told: false, cause, verdictAtMs: nowMs };
  return { trial, settled: undefined, retryAtMs: undefined, restartsInRow: 0, failedStartsInRow: 0 };
}

const TRIAL_REPORTS = {
  passed: 'updated',
  reverting: 'reverting',
  reverted: 'reverted',
  refused: 'update-refused',
} as const;

/** The verdict as a report; undefined: there is none. @param durationMs reverted: from the verdict to running */
export function trialReport(config: ContainerConfig, trial: Trial, durationMs?: number): ReportBody | undefined {
  if (trial.phase === 'trying' || !config.update) return undefined;
  const image = trial.phase === 'passed' ? config.image : config.update.knownGood.image;
  const failed = trial.phase === 'reverting' || trial.phase === 'reverted';
  return {
    kind: TRIAL_REPORTS[trial.phase],
    generation: config.generation,
    image,
    updateId: trial.updateId,
    ...(failed && { failedImage: trial.image }),
    ...(trial.phase !== 'passed' && {
      ...trial.cause,
      message: trial.cause?.message.slice(0, 4000),
      checkOutput: trial.cause?.checkOutput?.slice(-4000),
    }),
    durationMs,
  };
}

function reportVerdict(config: ContainerConfig, trial: Trial, durationMs?: number): readonly Step[] {
  const report = trialReport(config, trial, durationMs);
  return report
    ? [
        {
          kind: 'report',
          report,
          withLogTail: trial.phase === 'reverting',
          change: { trial: { ...trial, told: true } },
        },
      ]
    : [];
}
