/** How a host's report changes a container: the new record and the official fact, or the reason why it is ignored. */
import { type ContainerReport, type EventOf, type FactSubject, SUBJECTS } from '@plinth/contracts';
import { afterReport, type ContainerRecord, factOf, startedFact } from '../../containers/domain/container-record.js';
import type { UpdateVerdict } from '../../containers/domain/image-update.js';
import { isUpdateReport, judgeUpdateReport } from './update-reports.js';
import { eventOfReport, transition } from '../../containers/domain/container-state.js';

export type ReportEffect =
  | {
      readonly take: true;
      readonly record: ContainerRecord;
      readonly fact?: EventOf<FactSubject>;
      /** The verdict on the present update, when the report is about that and changes it. */
      readonly verdict?: UpdateVerdict;
    }
  /** `early`: another report comes first, and another provisioner may be processing it. */
  | { readonly take: false; readonly reason: 'foreign-host' | 'stale' | 'impossible' | 'early' };

/** @param writer the host that the report's subject names @param requestId id of the request that caused the report */
export function judgeReport(
  record: ContainerRecord,
  report: ContainerReport,
  writer: string,
  requestId: string,
): ReportEffect {
  if (writer !== report.host || record.config.host !== writer) return { take: false, reason: 'foreign-host' };
  if (report.sequence <= record.reportSequence) return { take: false, reason: 'stale' };
  if (record.reportSequence < (report.after ?? 0)) return { take: false, reason: 'early' };
  // "removed" is final: it is accepted only when the removal was requested.
  if (report.kind === 'removed' && record.config.desired !== 'removed') return { take: false, reason: 'impossible' };
  if (report.kind === 'released' && record.config.desired !== 'released') return { take: false, reason: 'impossible' };
  const state = transition(record.state, eventOfReport(report.kind, report.retryInMs));
  if (state === undefined) return { take: false, reason: 'impossible' };
  const next = afterReport(record, report, state);
  if (!isUpdateReport(report)) return { take: true, record: next, fact: officialFact(record, report) };
  const verdict = judgeUpdateReport(next, report, requestId);
  return verdict ? { take: true, ...verdict } : { take: true, record: next };
}

function officialFact(record: ContainerRecord, report: ContainerReport): EventOf<FactSubject> | undefined {
  const base = { ...factOf(record.config), generation: report.generation, image: report.image ?? record.config.image };
  switch (report.kind) {
    case 'started': {
      // The present run under a newer generation, or a repeated report: the bus may have lost its health.
      if (record.pid === report.pid && record.restarts === (report.restarts ?? record.restarts))
        return healthFact(record, report);
      const data = startedFact(record.config, report);
      return data && { subject: SUBJECTS.containerStarted, data };
    }
    case 'healthy':
    case 'unhealthy':
      return healthFact(record, report);
    case 'stopped':
      return {
        subject: SUBJECTS.containerStopped,
        data: { ...base, cause: report.cause ?? 'exited', exitCode: report.exitCode, restartInMs: report.retryInMs },
      };
    case 'failed':
      return {
        subject: SUBJECTS.containerFailed,
        data: {
          ...base,
          reason: report.reason ?? 'internal-error',
          message: report.message ?? 'the host gave no reason',
          exitCode: report.exitCode,
          logTail: report.logTail,
          retryInMs: report.retryInMs,
        },
      };
    case 'limited':
      return report.reached && { subject: SUBJECTS.containerLimited, data: { ...base, reached: report.reached } };
    case 'removed':
      return { subject: SUBJECTS.containerRemoved, data: base };
    default:
      return undefined;
  }
}

/** Returns a fact for changes only, because reports are repeated. @param record the record before the report */
function healthFact(record: ContainerRecord, report: ContainerReport): EventOf<FactSubject> | undefined {
  const { health } = report;
  if (health === undefined || health === 'starting' || health === record.health) return undefined;
  const base = { ...factOf(record.config), generation: report.generation, image: report.image ?? record.config.image };
  if (health === 'healthy') {
    const from = record.health === 'unhealthy' ? 'unhealthy' : 'starting';
    return { subject: SUBJECTS.containerHealthy, data: { ...base, from } };
  }
  return {
    subject: SUBJECTS.containerUnhealthy,
    data: {
      ...base,
      message: report.message ?? 'the host gave no reason',
      failedChecks: report.failedChecks ?? [],
      willRestart: report.willRestart ?? false,
    },
  };
}
