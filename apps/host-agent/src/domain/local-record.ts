/** What an agent must remember about one container between two of its own lives; kept as `record.json` beside the config. */
import type { Trial } from './trial.js';
import type { ContainerReport, HealthState } from '@plinth/contracts';
import type { Health } from './health.js';
import type { Observed } from './observed.js';

/** A report as the planner makes it: the reporter adds host, container, sequence and time. */
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
    >
  >;

export interface LocalRecord {
  /** Of the last attempt to start, successful or not; 0: none yet. */
  readonly attemptedGeneration: number;
  /** Run generation of that attempt. */
  readonly attemptedRunGeneration: number;
  /** Image of the last run that began; absent: none so far, or by an agent that did not write it down. */
  readonly attemptedImage?: string;
  readonly trial?: Trial;
  /** Term of the lease under which the last run was started; absent: not known. */
  readonly leaseTerm?: string;
  /** Successful starts so far. */
  readonly starts: number;
  /** Of the last successful start, milliseconds since the epoch. */
  readonly startedAtMs?: number;
  /** Ends in a row that the restart policy answered with a start; a minute of running makes it 0. */
  readonly restartsInRow: number;
  /** Starts in a row that failed. */
  readonly failedStartsInRow: number;
  /** No start before this time, milliseconds since the epoch. */
  readonly retryAtMs?: number;
  /** It stays down until a config newer than this one: a start asked for (`exit`), or any change (`start-failure`). */
  readonly settled?: {
    readonly by: 'exit' | 'start-failure';
    readonly generation: number;
    readonly runGeneration: number;
  };
  /** The stop signal was sent; killed at the deadline. Milliseconds since the epoch. */
  readonly stop?: {
    readonly signalledAtMs: number;
    readonly deadlineMs: number;
    /** By the restart policy, because it is unhealthy; absent: it was asked for. */
    readonly unhealthy?: true;
  };
  /** Of the run `health.run`. */
  readonly health?: Health;
  /** What was reported last of the health of a run; absent for a run: that it is starting. */
  readonly healthTold?: { readonly run: number; readonly state: HealthState };
  /** End of the run number `run` (= {@link starts} then); a run's end is counted once. */
  readonly lastExit?: { readonly run: number; readonly exitCode?: number; readonly atMs: number };
  /** The data volume was there once: it is never silently made again. */
  readonly volumeMade: boolean;
  /** Last report, to be said again when somebody may have missed it. */
  readonly announced?: ReportBody;
  /** Of the last report, or where this agent's numbers begin. */
  readonly sequence: number;
  /** Of the last report. */
  readonly reported?: number;
  /** Envelope of the message that brought the config: reports carry it on. */
  readonly cause?: { readonly correlationId: string; readonly causationId: string };
  /** /proc/sys/kernel/random/boot_id of the last change. */
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

/** Whether a run began whose end was not counted yet. */
export function runIsOpen(record: LocalRecord): boolean {
  return record.starts > (record.lastExit?.run ?? 0);
}

/** A run that the record does not know, because the agent died between starting it and writing that down, is counted. */
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

/** The machine was started anew: what ran ended with it, which is nobody's fault; no backoff, no deadline holds any longer. */
export function afterReboot(record: LocalRecord, bootId: string, nowMs: number): LocalRecord {
  if (record.bootId === bootId) return record;
  const lastExit = runIsOpen(record) ? { run: record.starts, atMs: nowMs } : record.lastExit;
  return { ...record, bootId, lastExit, stop: undefined, retryAtMs: undefined, restartsInRow: 0, failedStartsInRow: 0 };
}

/** A new agent: another configuration may allow what was refused, so refused starts are tried once more. */
export function afterAgentStart(record: LocalRecord): LocalRecord {
  return record.settled?.by === 'start-failure' ? { ...record, settled: undefined } : record;
}

const SEQUENCE_EPOCH_SECONDS = Date.UTC(2026, 0, 1) / 1000;

/**
 * First sequence number of an agent's life: never below one that was used before, even when the record was lost with the disk
 * or is older than the last report. Holds as long as a container has fewer than one report per second on the long run.
 */
export function firstSequence(record: LocalRecord, nowMs: number): number {
  return Math.max(record.sequence, Math.floor(nowMs / 1000) - SEQUENCE_EPOCH_SECONDS);
}
