/** From desired and observed state to the steps between them. Pure: the same input always gives the same steps. */
import type { ContainerConfig } from '@plinth/contracts';
import { endsUnhealthy, healthOf, healthyForMs, planHealth, runningHealth, unhealthyMessage } from './health.js';
import type { MissingImage } from './image-supply.js';
import { type Health, type LocalRecord, type ReportBody, runIsOpen } from './local-record.js';
import type { Observed, Running } from './observed.js';
import type { PlanInput } from './plan-input.js';
import { judgeExit, KILLED, type Verdict } from './restart-policy.js';
import type { Step } from './step.js';
import {
  effectiveConfig,
  isTrying,
  planBefore,
  planBeforeStart,
  planTrial,
  trialFailed,
  trialFinished,
} from './trial.js';
import { planUpdateWait, withWait } from './update-wait.js';

/** The steps to take now; the caller plans again after them. Empty: nothing to do until something changes. */
export function plan(given: PlanInput): readonly Step[] {
  if (given.observed.kind === 'partial') return [{ kind: 'delete-runtime' }];
  const first = planBefore(given.config, given.record, given.nowMs);
  if (first.length > 0) return first;
  const { asked = given.config, record, missing, nowMs } = given;
  const wait = planUpdateWait({ asked, record, missing, nowMs });
  if (wait && 'steps' in wait) return wait.steps;
  return withWait(planDesired({ ...given, config: effectiveConfig(given.config, given.record) }), wait?.untilMs);
}

function planDesired(input: PlanInput): readonly Step[] {
  switch (input.config.desired) {
    case 'running':
      return planRunning(input);
    case 'stopped':
      return planStopped(input);
    case 'removed':
      return planRemoved(input);
    case 'released':
      return planReleased(input);
  }
}

function planRunning(input: PlanInput): readonly Step[] {
  const { config, observed, record, nowMs } = input;
  if (observed.kind === 'running') {
    // What runs is stopped when its successor can be started.
    if (!record.stop && isOtherImage(observed.image, config) && input.missing?.has(config.image)) return [];
    if (record.stop || observed.runGeneration < config.runGeneration || isOtherImage(observed.image, config))
      return planStop(input);
    if (!announcedFor(record, config, ['started'])) return [{ kind: 'apply', report: startedReport(input, observed) }];
    const ofHealth = planHealth(config, record, observed.startedAtMs, input.health, nowMs);
    // A verdict on an image replaces the report that its container is unhealthy.
    const trying = isTrying(config, record);
    const isVerdict = trying && healthOf(record)?.state === 'unhealthy';
    if (ofHealth.length > 0 && !isVerdict) return ofHealth;
    const health = healthOf(record);
    if (health && config.health && !trying && endsUnhealthy(config, record, health, nowMs))
      return planStop(input, true);
    return planTrial(config, record, observed, nowMs);
  }
  if (observed.kind === 'exited' || runIsOpen(record)) return planAfterExit(input);
  const { settled, retryAtMs } = record;
  const newer = config.generation > record.attemptedGeneration || config.runGeneration > record.attemptedRunGeneration;
  if (
    settled &&
    (settled.by === 'exit' ? config.runGeneration <= settled.runGeneration : config.generation <= settled.generation)
  ) {
    return announcedFor(record, config, ['failed', 'stopped']) ? [] : repeat(record, config);
  }
  if (retryAtMs !== undefined && retryAtMs > nowMs && !newer)
    return [{ kind: 'wait-until', atMs: retryAtMs, why: 'backoff' }];
  const missing = input.missing?.get(config.image);
  if (missing) return planMissing(config, record, missing);
  return [...planBeforeStart(config, record), { kind: 'create-volume' }, { kind: 'premount' }, { kind: 'start' }];
}

/** The container waits for its image, which is fetched meanwhile; what it waits for is reported. */
function planMissing(
  config: ContainerConfig,
  record: LocalRecord,
  { failure, retryInMs }: MissingImage,
): readonly Step[] {
  const { generation, image } = config;
  const body: ReportBody = failure
    ? { kind: 'failed', generation, image, ...failure, message: failure.message.slice(0, 4000), retryInMs }
    : { kind: 'starting', generation, image, message: `${image} is being fetched to this host` };
  const { announced } = record;
  // After a failure it is not reported as starting until it is: the failure is what there is to know.
  const isKnown =
    announced !== undefined &&
    announced.generation >= generation &&
    announced.image === image &&
    (failure ? announced.kind === 'failed' && announced.message === body.message : announced.kind === 'starting');
  return isKnown ? [] : [report(body)];
}

/** Whether another image ran than the one that is to run. */
function isOtherImage(image: string | undefined, config: ContainerConfig): boolean {
  return image !== undefined && image !== config.image;
}

function planStopped(input: PlanInput): readonly Step[] {
  const { config, observed, record, nowMs } = input;
  if (observed.kind === 'running') return planStop(input);
  if (observed.kind === 'absent' && announcedFor(record, config, ['stopped'])) return [];
  const exitCode = observed.kind === 'exited' ? observed.exitCode : record.lastExit?.exitCode;
  return [
    { kind: 'remember', change: { ...REST, ...exitOf(observed, record, nowMs) }, why: 'stopped as asked' },
    ...(observed.kind === 'exited' ? [{ kind: 'delete-runtime' } as const] : []),
    report({ kind: 'stopped', generation: config.generation, image: config.image, cause: 'requested', exitCode }),
  ];
}

function planRemoved(input: PlanInput): readonly Step[] {
  const { config, observed, record } = input;
  if (observed.kind === 'running') return planStop(input);
  if (observed.kind === 'exited') return [{ kind: 'delete-runtime' }];
  if (announcedFor(record, config, ['removed'])) return [];
  return [
    ...(config.deleteData === true ? [{ kind: 'delete-volume' } as const] : []),
    { kind: 'forget' },
    report({ kind: 'removed', generation: config.generation, image: config.image }),
  ];
}

/** The container is stopped so that another host can start it; the volume is released last, and the report follows. */
function planReleased(input: PlanInput): readonly Step[] {
  const { config, observed, record } = input;
  if (observed.kind === 'running') return planStop(input);
  if (observed.kind === 'exited') return [{ kind: 'delete-runtime' }];
  if (announcedFor(record, config, ['released'])) return [];
  return [
    { kind: 'release-volume' },
    { kind: 'forget' },
    report({ kind: 'released', generation: config.generation, image: config.image }),
  ];
}

/**
 * The stop signal is sent; after its grace every process is killed. A grace that is shortened meanwhile applies at
 * once.
 */
function planStop({ config, record, nowMs, isSignalled }: PlanInput, unhealthy = false): readonly Step[] {
  const graceMs = config.stopGraceSeconds * 1000;
  const signal: Step = { kind: 'stop', signal: config.stopSignal, graceMs };
  if (!record.stop) {
    return [
      {
        kind: 'remember',
        change: {
          stop: { signalledAtMs: nowMs, deadlineMs: nowMs + graceMs, ...(unhealthy && { unhealthy: true as const }) },
        },
        why: unhealthy ? 'unhealthy' : 'asked to stop',
      },
      report({ kind: 'stopping', generation: config.generation, image: config.image }),
      signal,
    ];
  }
  const deadlineMs = Math.min(record.stop.deadlineMs, record.stop.signalledAtMs + graceMs);
  // The agent that recorded the stop may have ended before the signal, or a full disk came between: rather twice than
  // not at all.
  if (deadlineMs > nowMs && isSignalled !== true) return [signal];
  if (deadlineMs > nowMs) return [{ kind: 'wait-until', atMs: deadlineMs, why: 'grace after the stop signal' }];
  return [{ kind: 'kill' }];
}

/** The container ended although it should run: by itself, or because a fresh start was requested. */
function planAfterExit(input: PlanInput): readonly Step[] {
  const { config, observed, record, nowMs } = input;
  const clean: readonly Step[] = observed.kind === 'exited' ? [{ kind: 'delete-runtime' }] : [];
  if (!runIsOpen(record)) return clean;
  const ended = exitOf(observed, record, nowMs);
  // As after a reboot, this is no failure of the container: no verdict on an image, and nothing for the restart policy.
  if (input.leaseLost && (ended.lastExit.exitCode ?? KILLED) === KILLED) {
    return [{ kind: 'remember', change: { ...REST, ...ended }, why: 'ended with its lease' }, ...clean];
  }
  const unhealthy = record.stop?.unhealthy === true ? healthOf(record) : undefined;
  if (
    (record.stop && !unhealthy) ||
    config.runGeneration > record.attemptedRunGeneration ||
    isOtherImage(record.attemptedImage, config)
  ) {
    return [{ kind: 'remember', change: { ...REST, ...ended }, why: 'ended for a fresh start' }, ...clean];
  }
  const exitCode = ended.lastExit.exitCode;
  const endedAtMs = (observed.kind === 'exited' ? observed.endedAtMs : undefined) ?? ended.lastExit.atMs;
  const endMs = Math.min(nowMs, endedAtMs);
  const upMs = unhealthy ? healthyForMs(unhealthy, endMs) : endMs - (record.startedAtMs ?? endedAtMs);
  // A run that was ended because it was unhealthy has failed, whatever its exit code.
  const verdict = judgeExit(config.restart, unhealthy ? undefined : exitCode, upMs, record.restartsInRow);
  if (isTrying(config, record) && verdict.kind !== 'finished') {
    // No restart policy hides the end of a run on trial.
    const cause = {
      reason: 'exited' as const,
      message: `it ${exitMessage(exitCode, 'exited')} while it was on trial`,
      exitCode,
    };
    return [
      { kind: 'remember', change: { ...REST, ...ended, ...trialFailed(record, cause, nowMs) }, why: 'ended on trial' },
      ...clean,
    ];
  }
  const change: Partial<LocalRecord> =
    verdict.kind === 'restart'
      ? { ...ended, stop: undefined, restartsInRow: verdict.restartsInRow, retryAtMs: nowMs + verdict.delayMs }
      : {
          ...ended,
          stop: undefined,
          ...(isTrying(config, record) && trialFinished(record)),
          settled: { by: 'exit', generation: config.generation, runGeneration: record.attemptedRunGeneration },
        };
  return [
    { kind: 'remember', change, why: `ended, ${verdict.kind}` },
    ...clean,
    reportExit(config, exitCode, verdict, unhealthy),
  ];
}

function reportExit(
  config: ContainerConfig,
  exitCode: number | undefined,
  verdict: Verdict,
  unhealthy: Health | undefined,
): Step {
  const common = { generation: config.generation, image: config.image, exitCode };
  switch (verdict.kind) {
    case 'restart':
      return report({
        kind: 'stopped',
        cause: unhealthy ? 'unhealthy' : 'exited',
        message: unhealthy && unhealthyMessage(unhealthy),
        retryInMs: verdict.delayMs,
        ...common,
      });
    case 'finished':
      return report({ kind: 'stopped', cause: 'exited', ...common });
    case 'failed':
      return {
        kind: 'report',
        withLogTail: true,
        report: {
          kind: 'failed',
          reason: unhealthy ? 'unhealthy' : verdict.reason,
          message: unhealthy ? unhealthyMessage(unhealthy) : exitMessage(exitCode, verdict.reason),
          ...common,
        },
      };
  }
}

function exitMessage(exitCode: number | undefined, reason: string): string {
  const how = exitCode === undefined ? 'ended, its exit code is not known' : `ended with exit code ${exitCode}`;
  return reason === 'crash-loop' ? `${how}; it was restarted as often as its policy allows` : how;
}

/**
 * The present state, to be reported again to processes that may have missed it; undefined: nothing was reported so far.
 */
export function presentState(config: ContainerConfig, record: LocalRecord, nowMs: number): ReportBody | undefined {
  const last = record.announced;
  if (!last) return undefined;
  if (last.kind === 'started') return { ...last, ...runningHealth(config, record) };
  return last.retryInMs === undefined ? last : { ...last, retryInMs: Math.max(0, (record.retryAtMs ?? nowMs) - nowMs) };
}

const REST: Partial<LocalRecord> = {
  stop: undefined,
  settled: undefined,
  retryAtMs: undefined,
  restartsInRow: 0,
  failedStartsInRow: 0,
};

/** The end of the open run. */
function exitOf(
  observed: Observed,
  record: LocalRecord,
  nowMs: number,
): { readonly lastExit: NonNullable<LocalRecord['lastExit']> } {
  const { exitCode, atMs } = observed.kind === 'exited' ? observed : { exitCode: undefined, atMs: nowMs };
  if (!runIsOpen(record)) return { lastExit: record.lastExit ?? { run: record.starts, exitCode, atMs } };
  return { lastExit: { run: record.starts, exitCode, atMs } };
}

function announcedFor(record: LocalRecord, config: ContainerConfig, kinds: readonly string[]): boolean {
  const last = record.announced;
  return last !== undefined && last.generation >= config.generation && kinds.includes(last.kind);
}

/** Acknowledges a newer config that changes nothing: the present state under its generation. */
function repeat(record: LocalRecord, config: ContainerConfig): readonly Step[] {
  return record.announced ? [report({ ...record.announced, generation: config.generation })] : [];
}

/**
 * The running container, reported again: under a newer generation, or because the agent that started it could not
 * report it.
 */
function startedReport({ config, record }: PlanInput, running: Running): ReportBody {
  const last = record.announced;
  const health = runningHealth(config, record);
  if (last?.kind === 'started' && last.pid === running.pid)
    return {
      ...last,
      message: undefined,
      failedChecks: undefined,
      pending: undefined,
      ...health,
      generation: config.generation,
    };
  return {
    kind: 'started',
    generation: config.generation,
    image: config.image,
    pid: running.pid,
    startedAt: new Date(running.startedAtMs).toISOString(),
    restarts: Math.max(0, record.starts - 1),
    users: running.users,
    ...health,
  };
}

function report(body: ReportBody): Step {
  return { kind: 'report', report: body, withLogTail: false };
}
