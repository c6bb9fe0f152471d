/** What a host's report means for changes of the container that are open. Pure. */
import type { ChangeablePart, ContainerChanged, ContainerConfig, ContainerReport } from '@plinth/contracts';
import { factOf } from '../../containers/domain/container-record.js';

/** Whether a host that sends this report has acted on the config that it names. */
export function answersChange({ kind, generation }: ContainerReport): boolean {
  return generation > 1 && ['started', 'stopped', 'failed', 'removed'].includes(kind);
}

/** @returns undefined: nobody needs to know any more */
export function changedFact(
  config: ContainerConfig,
  { requestId, parts }: { readonly requestId: string; readonly parts: readonly ChangeablePart[] },
  report: Pick<ContainerReport, 'kind' | 'pending'>,
): ContainerChanged | undefined {
  if (report.kind === 'removed') return undefined;
  const pending =
    report.kind === 'started'
      ? (report.pending ?? []).filter(({ part }) => parts.includes(part))
      : parts.map((part) => ({ part, message: `it does not run; its next start has it` }));
  return {
    ...factOf(config),
    requestId,
    applied: parts.filter((part) => !pending.some((item) => item.part === part)),
    pending,
    ports: config.ports ?? [],
  };
}
