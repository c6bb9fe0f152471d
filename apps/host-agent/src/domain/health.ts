/**
 * The health of a container according to its checks. Pure; kept in the record, so that it survives a restart of the
 * agent.
 */
import type { ContainerConfig, EffectiveHealthCheck, HealthState } from '@plinth/contracts';
import type { FailedCheck, Health, LocalRecord, ReportBody } from './local-record.js';
import type { Observed } from './observed.js';
import { judgeExit } from './restart-policy.js';
import type { Step } from './step.js';

/** Result of one check. */
export interface CheckResult {
  readonly healthy: boolean;
  /** Why not, for people. */
  readonly message: string;
  readonly output: string;
}

const FAILURES_KEPT = 5;
/** Characters of a check's output that are kept: its end, which usually holds the error. */
const OUTPUT_KEPT = 1_000;
const MESSAGE_KEPT = 500;

export function startingHealth(run: number, startedAtMs: number): Health {
  return { run, state: 'starting', sinceMs: startedAtMs, failedChecks: 0, failures: [] };
}

/** The health of the open run; undefined: not known yet. */
export function healthOf(record: LocalRecord): Health | undefined {
  return record.health?.run === record.starts ? record.health : undefined;
}

/**
 * The health after one check.
 * @param startedAtMs of the run
 * @returns the same object when nothing has changed
 */
export function afterCheck(
  health: Health,
  check: EffectiveHealthCheck,
  result: CheckResult,
  startedAtMs: number,
  nowMs: number,
): Health {
  if (result.healthy) {
    if (health.state === 'healthy' && health.failedChecks === 0) return health;
    const sinceMs = health.state === 'healthy' ? health.sinceMs : nowMs;
    return { ...health, state: 'healthy', sinceMs, failedChecks: 0, healthyAtMs: health.healthyAtMs ?? nowMs };
  }
  const counts = !inStartPeriod(health, check, startedAtMs, nowMs);
  const failedChecks = counts ? health.failedChecks + 1 : 0;
  const failure: FailedCheck = {
    atMs: nowMs,
    message: readable(result.message).slice(0, MESSAGE_KEPT),
    output: readable(result.output.slice(-OUTPUT_KEPT)),
  };
  const failures = [...health.failures, failure].slice(-FAILURES_KEPT);
  if (failedChecks < check.retries || health.state === 'unhealthy') return { ...health, failedChecks, failures };
  return { ...health, failedChecks, failures, state: 'unhealthy', sinceMs: nowMs };
}

/** The start period lasts from the start until its end or the first success; failures in it do not count. */
export function inStartPeriod(
  { state }: Pick<Health, 'state'>,
  check: EffectiveHealthCheck,
  startedAtMs: number,
  nowMs: number,
): boolean {
  return state === 'starting' && nowMs < startedAtMs + check.startPeriodSeconds * 1000;
}

/** How long the run was healthy, milliseconds; the restart policy uses it in place of the length of the run. */
export function healthyForMs(health: Health, endMs: number): number {
  return health.healthyAtMs === undefined ? 0 : Math.max(0, endMs - health.healthyAtMs);
}

/** Why it is unhealthy, for people. */
export function unhealthyMessage(health: Health): string {
  const times = health.failedChecks === 1 ? 'failed' : `failed ${health.failedChecks} times in a row`;
  return `its health check ${times}: ${health.failures.at(-1)?.message ?? 'no reason given'}`;
}

/** The health of the open run that was reported last. */
export function reportedHealth(config: ContainerConfig, record: LocalRecord): HealthState | undefined {
  if (!config.health) return undefined;
  return record.healthTold?.run === record.starts ? record.healthTold.state : 'starting';
}

/** The health part of a running container's report, as it was reported last. */
export function runningHealth(
  config: ContainerConfig,
  record: LocalRecord,
): Pick<ReportBody, 'health' | 'message' | 'failedChecks'> {
  const reported = reportedHealth(config, record);
  const health = healthOf(record);
  return reported === 'unhealthy' && health ? { health: reported, ...unhealthyCause(health) } : { health: reported };
}

function unhealthyCause(health: Health): Pick<ReportBody, 'message' | 'failedChecks'> {
  const failedChecks = health.failures.map(({ atMs, message, output }) => ({
    at: new Date(atMs).toISOString(),
    message,
    output,
  }));
  return { message: unhealthyMessage(health), failedChecks };
}

/** An unhealthy run has failed: the restart policy decides whether it is ended and started again. */
export function endsUnhealthy(config: ContainerConfig, record: LocalRecord, health: Health, nowMs: number): boolean {
  const upMs = healthyForMs(health, nowMs);
  return (
    health.state === 'unhealthy' && judgeExit(config.restart, undefined, upMs, record.restartsInRow).kind === 'restart'
  );
}

/**
 * Records the result of the checks, and reports a change. Empty: nothing to do.
 * @param found health according to the checks; ignored when it is of another run
 */
export function planHealth(
  config: ContainerConfig,
  record: LocalRecord,
  startedAtMs: number,
  found: Health | undefined,
  nowMs: number,
): readonly Step[] {
  if (!config.health)
    return record.health
      ? [{ kind: 'remember', change: { health: undefined, healthTold: undefined }, why: 'it has no health check' }]
      : [];
  const health =
    found?.run === record.starts ? found : (healthOf(record) ?? startingHealth(record.starts, startedAtMs));
  // The record is written first, so that a new agent has the result whether it was reported or not.
  if (health !== record.health) return [{ kind: 'remember', change: { health }, why: `health: ${health.state}` }];
  if (health.state === reportedHealth(config, record)) return [];
  return [
    {
      kind: 'report',
      withLogTail: false,
      report: healthReport(config, record, health, nowMs),
      change: { healthTold: { run: health.run, state: health.state } },
    },
  ];
}

function healthReport(config: ContainerConfig, record: LocalRecord, health: Health, nowMs: number): ReportBody {
  const common = { generation: config.generation, image: config.image, health: health.state };
  if (health.state !== 'unhealthy') return { kind: 'healthy', ...common };
  return {
    kind: 'unhealthy',
    ...common,
    ...unhealthyCause(health),
    willRestart: endsUnhealthy(config, record, health, nowMs),
  };
}

/** What is to be checked now. */
export interface CheckTarget {
  readonly run: number;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly check: EffectiveHealthCheck;
  /** An update waits for the result: the container is checked at once, and as often as the config requires. */
  readonly urgent: boolean;
}

/**
 * @param config the one to act on
 * @returns undefined when there is nothing to check: no check, not running, or about to end
 */
export function checkTarget(
  config: ContainerConfig,
  record: LocalRecord,
  observed: Observed,
  urgent: boolean,
): CheckTarget | undefined {
  if (!config.health || config.desired !== 'running' || observed.kind !== 'running' || record.stop) return undefined;
  if (observed.runGeneration < config.runGeneration) return undefined;
  return { run: record.starts, startedAtMs: observed.startedAtMs, check: config.health, urgent };
}

/**
 * Replaces control characters other than line feeds and tabs, and halves of characters: the output of a container is
 * shown to people and kept in a database.
 */
function readable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these characters are replaced
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\p{Surrogate}/gu, '\ufffd');
}
