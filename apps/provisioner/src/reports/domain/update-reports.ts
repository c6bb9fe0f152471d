/** How a host's report about an update changes a container, and the rollout that requested it. */
import {
  type ContainerReport,
  type EventOf,
  type FactSubject,
  fitMessage,
  type MemberPhase,
  SUBJECTS,
  type UpdateState,
} from '@plinth/contracts';
import { type ContainerRecord, factOf } from '../../containers/domain/container-record.js';
import { settleUpdate, type UpdateVerdict, type Verdict } from '../../containers/domain/image-update.js';

export interface UpdateReportEffect {
  readonly record: ContainerRecord;
  readonly fact?: EventOf<FactSubject>;
  readonly verdict: UpdateVerdict;
}

const STATES: Readonly<Partial<Record<ContainerReport['kind'], UpdateState>>> = {
  updated: 'updated',
  reverting: 'reverting',
  reverted: 'reverted',
  'update-refused': 'refused',
};
const VERDICTS: Readonly<Partial<Record<UpdateState, Verdict>>> = {
  updated: 'updated',
  reverted: 'reverted',
  refused: 'refused',
};

export function isUpdateReport(report: ContainerReport): boolean {
  return STATES[report.kind] !== undefined;
}

/** Reasons that prevent the start of an update and are not the image's fault. */
const NOT_THE_IMAGE: readonly ContainerReport['reason'][] = [
  'image-missing',
  'image-unavailable',
  'data-volume-missing',
  'software-missing',
  'network-not-allowed',
  'host-users-not-allowed',
  'user-namespace-failed',
  'no-id-range',
  'no-space',
  'snapshot-failed',
];

/**
 * @param requestId id of the request that caused the report
 * @returns undefined when it is about another update than the present one, or was reported before
 */
export function judgeUpdateReport(
  record: ContainerRecord,
  report: ContainerReport,
  requestId: string,
): UpdateReportEffect | undefined {
  const state = STATES[report.kind];
  const { update } = record;
  if (!state || !update || update.updateId !== report.updateId || update.state === state) return undefined;
  // A repeated "reverting" after the revert has ended changes nothing.
  if (update.state !== 'switching' && update.state !== 'reverting') return undefined;
  const reason = report.reason ?? null;
  const message = report.message ?? null;
  const next: ContainerRecord = { ...record, update: { ...update, state, reason, message, at: report.at } };
  const verdict = VERDICTS[state];
  return {
    record: verdict ? settleUpdate(next, update.updateId, verdict, report.at) : next,
    fact: factAbout(record, report, requestId),
    verdict: { updateId: update.updateId, phase: phaseOf(report), reason, message },
  };
}

function phaseOf({ kind, reason }: ContainerReport): MemberPhase {
  if (kind === 'updated') return 'updated';
  return kind === 'update-refused' && NOT_THE_IMAGE.includes(reason) ? 'skipped' : 'failed';
}

function factAbout(
  record: ContainerRecord,
  report: ContainerReport,
  requestId: string,
): EventOf<FactSubject> | undefined {
  const { update } = record;
  if (!update) return undefined;
  const base = {
    ...factOf(record.config),
    generation: report.generation,
    image: report.image ?? (report.kind === 'updated' ? update.to : update.from),
    updateId: update.updateId,
    rolloutId: update.rolloutId ?? undefined,
  };
  if (report.kind === 'updated') return { subject: SUBJECTS.containerUpdated, data: { ...base, from: update.from } };
  if (report.kind === 'update-refused') {
    const { name, tenant } = record.config;
    const why = report.message ?? 'the host gave no reason';
    const message = fitMessage(`${update.to} can't be started on host ${record.config.host}: ${why}`);
    return {
      subject: SUBJECTS.containerRejected,
      data: {
        operation: 'update',
        requestId,
        reason: 'image-unavailable',
        message,
        name,
        tenant,
        containerId: record.id,
        problems: [],
      },
    };
  }
  if (report.kind !== 'reverted') return undefined;
  return {
    subject: SUBJECTS.containerReverted,
    data: {
      ...base,
      failedImage: report.failedImage ?? update.to,
      reason: report.reason ?? 'internal-error',
      message: report.message ?? 'the host gave no reason',
      exitCode: report.exitCode,
      logTail: report.logTail,
      checkOutput: report.checkOutput,
      durationMs: report.durationMs,
    },
  };
}
