/** The steps after a start, or the check of an update, that did not succeed. Pure, as the planner. */
import { type LocalRecord, runIsOpen } from './local-record.js';
import type { PlanInput } from './plan-input.js';
import { backoffMs, KILLED, mayHeal } from './restart-policy.js';
import { isOfHost, type StartFailure } from './start-failure.js';
import type { Step } from './step.js';
import { acceptedTrial, effectiveConfig, isTrying, trialFailed, trialOf } from './trial.js';

/** The steps after a failed start. */
export function planAfterFailure({ config: given, record, nowMs }: PlanInput, failed: StartFailure): readonly Step[] {
  const config = effectiveConfig(given, record);
  // The run was counted, but its start could not be recorded or reported: it is killed now, and did not end by itself.
  const closed: Partial<LocalRecord> = runIsOpen(record)
    ? { lastExit: { run: record.starts, exitCode: KILLED, atMs: nowMs } }
    : {};
  if (isTrying(config, record) && !isOfHost(failed)) {
    const why = `start failed on trial: ${failed.reason}`;
    return [
      { kind: 'delete-runtime' },
      {
        kind: 'remember',
        change: {
          ...closed,
          ...trialFailed(record, { ...failed, message: `it did not start: ${failed.message}` }, nowMs),
        },
        why,
      },
    ];
  }
  const reverting = trialOf(given, record)?.phase === 'reverting';
  const failure: StartFailure = reverting
    ? {
        ...failed,
        reason: 'revert-failed',
        message: `${config.image}, the image to revert to, did not start (${failed.reason}): ${failed.message}`,
      }
    : failed;
  const failedStartsInRow = record.failedStartsInRow + 1;
  // A revert is tried without end.
  const retryInMs = reverting || mayHeal(failure.reason) ? backoffMs(failedStartsInRow) : undefined;
  const attempt = { attemptedGeneration: config.generation, attemptedRunGeneration: config.runGeneration };
  const change: Partial<LocalRecord> =
    retryInMs === undefined
      ? {
          ...closed,
          ...attempt,
          failedStartsInRow,
          settled: { by: 'start-failure', generation: config.generation, runGeneration: config.runGeneration },
        }
      : { ...closed, ...attempt, failedStartsInRow, retryAtMs: nowMs + retryInMs };
  return [
    { kind: 'delete-runtime' },
    { kind: 'remember', change, why: `start failed: ${failure.reason}` },
    {
      kind: 'report',
      withLogTail: failure.reason === 'mount-script-failed' || failure.reason === 'runtime-error',
      report: {
        kind: 'failed',
        generation: config.generation,
        image: config.image,
        reason: failure.reason,
        message: failure.message.slice(0, 4000),
        exitCode: failure.exitCode,
        retryInMs,
      },
    },
  ];
}

/**
 * The steps after an update was checked before any change. A failure of the host is no verdict on the image: the check
 * is repeated, and what runs goes on meanwhile.
 * @param failed undefined: the image can be started here
 */
export function planAfterCheck(input: PlanInput, failed: StartFailure | undefined): readonly Step[] {
  const { config, observed, record, nowMs } = input;
  if (!config.update) return [];
  if (!failed || !isOfHost(failed)) {
    const trial = acceptedTrial(config.update.updateId, config.image, record, failed);
    return [{ kind: 'remember', change: { trial }, why: failed ? 'the update is refused' : 'the update is on trial' }];
  }
  if (observed.kind !== 'running') return planAfterFailure(input, failed);
  const failedStartsInRow = record.failedStartsInRow + 1;
  const change = {
    attemptedGeneration: config.generation,
    failedStartsInRow,
    retryAtMs: nowMs + backoffMs(failedStartsInRow),
  };
  return [{ kind: 'remember', change, why: `the update waits: ${failed.reason}` }];
}
