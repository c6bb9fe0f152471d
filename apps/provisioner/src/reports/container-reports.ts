/** One report of a host, in one transaction: checks the sender, stores the report, publishes the official fact. */
import { Inject, Injectable } from '@nestjs/common';
import { type ContainerReport, containerStatus, desiredContainer, HOST_REPORTS, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, type Logger, LOGGER, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { DesiredState } from '../containers/desired-state.js';
import { OtherPorts } from '../containers/other-ports.js';
import { lockContainer, saveContainer } from '../containers/container.store.js';
import { closeChanges } from '../containers/change.store.js';
import { forgetGivenUp, rememberGivenUp } from '../containers/released-config.store.js';
import { judgeMembers, membersStarted } from '../rollouts/member.store.js';
import { releaseNetwork } from '../network/address.store.js';
import { release } from '../placement/placement.store.js';
import { statusOf } from '../containers/domain/container-record.js';
import { correction } from '../moves/domain/relocation.js';
import { answersChange, changedFact } from './domain/change-reports.js';
import { judgeReport } from './domain/reports.js';
import { ContainerRelocation } from '../moves/container-relocation.js';
import { RebalanceProgress } from '../rebalance/rebalance-progress.js';
import { RolloutProgress } from '../rollouts/rollout-progress.js';

export type Report = ReceivedEvent<ContainerReport>;

const ATTEMPTS_IN_ORDER = 4;

/** The report before this one was not processed yet; this one is delivered again. */
export class EarlyReportError extends Error {
  override readonly name = 'EarlyReportError';
  constructor({ sequence, after }: ContainerReport) {
    super(`report ${sequence} came before report ${after ?? '?'}`);
  }
}

/** The host and the container that the subject of a report names. */
export function sourceOf({ tokens }: Report): { readonly writer: string; readonly containerId: string } {
  const [, , writer = '', , containerId = ''] = tokens;
  return { writer, containerId };
}

/** The wait for an earlier report is limited: the bus may have lost it. */
export function inOrder({ data, attempt }: Report): ContainerReport {
  return attempt <= ATTEMPTS_IN_ORDER ? data : { ...data, after: undefined };
}

@Injectable()
export class ContainerReports {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(RolloutProgress) private readonly rollouts: RolloutProgress,
    @Inject(ContainerRelocation) private readonly relocation: ContainerRelocation,
    @Inject(RebalanceProgress) private readonly rebalance: RebalanceProgress,
    @Inject(DesiredState) private readonly desired: DesiredState,
    @Inject(OtherPorts) private readonly ports: OtherPorts,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws EarlyReportError */
  async take(event: Report): Promise<void> {
    const report = event.data;
    const { writer, containerId } = sourceOf(event);
    let ofRollout = false;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, HOST_REPORTS, event.id))) return;
      if (report.kind === 'released' || report.kind === 'removed') await forgetGivenUp(unit.db, writer, containerId);
      const record = containerId === report.containerId ? await lockContainer(unit.db, containerId) : undefined;
      const effect = record
        ? judgeReport(record, inOrder(event), writer, event.correlationId)
        : ({ take: false, reason: 'foreign-host' } as const);
      if (!effect.take && effect.reason === 'early') throw new EarlyReportError(report);
      if (!effect.take) {
        const config =
          record && correction(record, report, writer, effect.reason === 'stale', new Date().toISOString());
        this.logger.warn(
          { writer, containerId, kind: report.kind, reason: effect.reason, corrected: config?.desired },
          'report ignored',
        );
        if (config) unit.publish(desiredContainer(writer, containerId), config);
        if (config?.desired === 'released') await rememberGivenUp(unit.db, writer, config);
        return;
      }
      const { fact, verdict } = effect;
      const next = report.kind === 'released' ? await this.relocation.arrive(unit, effect.record) : effect.record;
      await saveContainer(unit.db, next, {
        at: report.at,
        kind: report.kind,
        generation: report.generation,
        message: report.message ?? null,
      });
      if (next.state === 'removed') {
        if (next.config.address) await releaseNetwork(unit.db, next.id);
        await release(unit.db, next.config.host, next.config.limits);
      }
      if (record && next.config !== record.config && report.kind !== 'released')
        unit.publish(desiredContainer(next.config.host, next.id), next.config);
      if (verdict) ofRollout = await judgeMembers(unit.db, [verdict]);
      if (report.kind === 'started')
        ofRollout = await membersStarted(unit.db, [{ containerId: next.id, generation: report.generation }]);
      if (fact) unit.publishEvent(fact, { aggregate: `container:${next.id}` });
      // The first config is no change of one.
      if (answersChange(report))
        for (const change of await closeChanges(unit.db, next.id, report.generation)) {
          const data = changedFact(next.config, change, report);
          if (data) unit.publish(SUBJECTS.containerChanged, data, { aggregate: `container:${next.id}` });
        }
      unit.publish(containerStatus(next.id), statusOf(next));
    });
    await this.follow([event], ofRollout);
  }

  /** What a report begins beside its transaction; also on a redelivery: the process may have died before it. */
  async follow(events: readonly Report[], ofRollout: boolean): Promise<void> {
    const kinds = new Set(events.map(({ data }) => data.kind));
    if (kinds.has('released') || kinds.has('started')) this.relocation.reported();
    this.rebalance.reported();
    if (ofRollout) this.rollouts.kick();
    await Promise.all(
      events.map(async (event) => {
        const { kind, host, reason } = event.data;
        const { writer, containerId } = sourceOf(event);
        if (writer !== host) return;
        if (kind === 'removed' || kind === 'released') await this.desired.forget(writer, containerId);
        if (kind === 'failed' && reason === 'port-taken') await this.ports.choose(event);
      }),
    );
  }
}
