/** What an agent must know about one container after a restart of its own; kept as `record.json` beside the config. */
import type { ContainerFailureReason, ContainerReport, HealthState } from '@plinth/contracts';
import type { LimitTallies } from './limit-hits.js';
import type { Observed } from './observed.js';

/** A report as the planner makes it; host, container, sequence and time are added when it is sent. */
export type ReportBody = Pick<ContainerReport, 'kind' | 'generation'> &
  Partial<
    Pick<
      ContainerReport,
      | 'image'
      | 'pid'
      | 'begunAt'
      | 'startedAt'
      | 'phases'
      | 'restarts'
      | 'users'
      | 'cause'
      | 'exitCode'
      | 'reason'
      | 'message'
      | 'logTail'
      | 'retryInMs'
      | 'updateId'
      | 'failedImage'
      | 'checkOutput'
      | 'durationMs'
      | 'health'
      | 'failedChecks'
      | 'willRestart'
      | 'reached'
      | 'pending'
      | 'dnsName'
    >
  >;

/**
 * `trying`: the new image was checked and is to run. `passed`: it is known good. `reverting`: it failed, the known good
 * image is to run. `reverted`: the known good image runs. `refused`: the new image can't be started here, nothing was
 * changed.
 */
export type TrialPhase = 'trying' | 'passed' | 'reverting' | 'reverted' | 'refused';

export interface TrialCause {
  readonly reason: ContainerFailureReason;
  readonly message: string;
  readonly exitCode?: number;
  readonly checkOutput?: string;
  readonly logTail?: string;
}

/** The update that the agent has accepted last; part of the record. */
export interface Trial {
  readonly updateId: string;
  /** The image on trial. */
  readonly image: string;
  readonly phase: TrialPhase;
  /** The phase was reported. The name is that of the stored field. */
  readonly told: boolean;
  /** Number of the run that the gate judges; see LocalRecord.starts. */
  readonly run?: number;
  /** When the gate was passed, milliseconds since the epoch. */
  readonly gateAtMs?: number;
  readonly cause?: TrialCause;
  readonly verdictAtMs?: number;
  /** State of the copy of the data volume from before the update. */
  readonly snapshot?: 'made' | 'restored';
}

export interface FailedCheck {
  readonly atMs: number;
  readonly message: string;
  readonly output: string;
}

/**
 * The health of one run. It begins as `starting`; the first success makes it `healthy`, `retries` failures in a row
 * `unhealthy`, the next success `healthy` again.
 */
export interface Health {
  /** Number of the run; see LocalRecord.starts. */
  readonly run: number;
  readonly state: HealthState;
  /** Since when, milliseconds since the epoch. */
  readonly sinceMs: number;
  /** The first success of the run, milliseconds since the epoch. */
  readonly healthyAtMs?: number;
  /** Failures in a row, only those that count. */
  readonly failedChecks: number;
  /** The last failures of the run, oldest first, including those that do not count. */
  readonly failures: readonly FailedCheck[];
}

export interface LocalRecord {
  /** Generation of the last attempt to start, successful or not; 0: none yet. */
  readonly attemptedGeneration: number;
  /** Run generation of that attempt. */
  readonly attemptedRunGeneration: number;
  /** Image of the last run that began; absent: none so far, or started by an agent that did not record it. */
  readonly attemptedImage?: string;
  readonly trial?: Trial;
  /** The update whose image is being fetched, and since when; milliseconds since the epoch. */
  readonly awaiting?: { readonly updateId: string; readonly sinceMs: number };
  /** Term of the lease under which the last run was started; absent: not known. */
  readonly leaseTerm?: string;
  /** Successful starts so far. */
  readonly starts: number;
  /** Time of the last successful start, milliseconds since the epoch. */
  readonly startedAtMs?: number;
  /** Restarts in a row by the restart policy; a minute of running resets it to 0. */
  readonly restartsInRow: number;
  /** Starts in a row that failed. */
  readonly failedStartsInRow: number;
  /** No start before this time, milliseconds since the epoch. */
  readonly retryAtMs?: number;
  /** It stays down until a newer config: one that requests a start (`exit`), or any (`start-failure`). */
  readonly settled?: {
    readonly by: 'exit' | 'start-failure';
    readonly generation: number;
    readonly runGeneration: number;
  };
  /** The stop signal was sent; the container is killed at the deadline. Milliseconds since the epoch. */
  readonly stop?: {
    readonly signalledAtMs: number;
    readonly deadlineMs: number;
    /** The restart policy stopped it because it is unhealthy; absent: the stop was requested. */
    readonly unhealthy?: true;
  };
  /** Health of the run `health.run`. */
  readonly health?: Health;
  /** The health that was reported last, and its run; absent for a run: `starting`. */
  readonly healthTold?: { readonly run: number; readonly state: HealthState };
  /** End of run number `run` (the value of {@link starts} at that time); the end of a run is counted once. */
  readonly lastExit?: { readonly run: number; readonly exitCode?: number; readonly atMs: number };
  /** As last reported. */
  readonly limitsReached?: LimitTallies;
  /** The data volume has existed: it is never silently created again. */
  readonly volumeMade: boolean;
  /** Last report of the present state, published again when it may have been missed. */
  readonly announced?: ReportBody;
  /** Sequence of the last report, or the start of this agent's numbers. */
  readonly sequence: number;
  /** Sequence of the last report. */
  readonly reported?: number;
  /** Ids from the envelope of the message that carried the config; reports carry them too. */
  readonly cause?: { readonly correlationId: string; readonly causationId: string };
  /** /proc/sys/kernel/random/boot_id at the last change. */
  readonly bootId: string;
}

export function emptyRecord(bootId: string): LocalRecord {
  return {
    attemptedGeneration: 0,
    attemptedRunGeneration: 0,
    starts: 0,
    restartsInRow: 0,
    failedStartsInRow: 0,
    volumeMade: false,
    sequence: 0,
    bootId,
  };
}

/** Whether a run has begun whose end was not counted yet. */
export function runIsOpen(record: LocalRecord): boolean {
  return record.starts > (record.lastExit?.run ?? 0);
}

/** Counts a run that is missing from the record because the agent died between its start and the write. */
export function adopt(record: LocalRecord, observed: Observed): LocalRecord {
  if (runIsOpen(record)) return record;
  if (observed.kind === 'running') {
    return {
      ...record,
      starts: record.starts + 1,
      startedAtMs: observed.startedAtMs,
      attemptedRunGeneration: observed.runGeneration,
      attemptedImage: observed.image,
      leaseTerm: undefined,
      failedStartsInRow: 0,
      retryAtMs: undefined,
      settled: undefined,
      volumeMade: true,
    };
  }
  if (observed.kind !== 'exited' || record.lastExit?.atMs === observed.atMs) return record;
  return { ...record, starts: record.starts + 1, startedAtMs: undefined, leaseTerm: undefined };
}

/**
 * After a restart of the machine: the run ended with the machine, which is no failure; backoff and deadlines no longer
 * apply.
 */
export function afterReboot(record: LocalRecord, bootId: string, nowMs: number): LocalRecord {
  if (record.bootId === bootId) return record;
  const lastExit = runIsOpen(record) ? { run: record.starts, atMs: nowMs } : record.lastExit;
  return { ...record, bootId, lastExit, stop: undefined, retryAtMs: undefined, restartsInRow: 0, failedStartsInRow: 0 };
}

/** A new agent tries refused starts once more, because its configuration may allow them. */
export function afterAgentStart(record: LocalRecord): LocalRecord {
  return record.settled?.by === 'start-failure' ? { ...record, settled: undefined } : record;
}

const SEQUENCE_EPOCH_SECONDS = Date.UTC(2026, 0, 1) / 1000;

/**
 * First sequence number of an agent process: never below one that was used before, even when the record was lost with
 * the disk or is older than the last report. This holds as long as a container has on average fewer than one report per
 * second.
 */
export function firstSequence(record: LocalRecord, nowMs: number): number {
  return Math.max(record.sequence, Math.floor(nowMs / 1000) - SEQUENCE_EPOCH_SECONDS);
}
