import { Controller, Inject } from '@nestjs/common';
import { type ContainerReport, containerStatus, desiredContainer, HOST_REPORTS, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, type Logger, LOGGER, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { DesiredState } from '../containers/desired-state.js';
import { lockContainer, saveContainer } from '../containers/container.store.js';
import { closeChanges } from '../containers/change.store.js';
import { forgetGivenUp, rememberGivenUp } from '../containers/given-up.store.js';
import { judgeMembers, membersStarted } from '../rollouts/member.store.js';
import { releaseNetwork } from '../network/address.store.js';
import { release } from '../placement/placement.store.js';
import { statusOf } from '../containers/domain/container-record.js';
import { correction } from '../moves/domain/relocation.js';
import { answersChange, changedFact } from './domain/change-reports.js';
import { judgeReport } from './domain/reports.js';
import { ContainerRelocation } from '../moves/container-relocation.js';
import { RolloutProgress } from '../rollouts/rollout-progress.js';

const ATTEMPTS_IN_ORDER = 4;

/** The report before this one was not processed yet; this one is delivered again. */
class EarlyReportError extends Error {
  override readonly name = 'EarlyReportError';
  constructor(sequence: number, after: number | undefined) {
    super(`report ${sequence} came before report ${after ?? '?'}`);
  }
}

/** `report.host.<host>.container.<id>`: checks the sender, stores the report, publishes the official fact. */
@Controller()
export class ContainerReportHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(RolloutProgress) private readonly rollouts: RolloutProgress,
    @Inject(ContainerRelocation) private readonly relocation: ContainerRelocation,
    @Inject(DesiredState) private readonly desired: DesiredState,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @OnEvent(HOST_REPORTS, { concurrency: 32, ordered: true })
  async handle(event: ReceivedEvent<ContainerReport>): Promise<void> {
    const report = event.data;
    const [, , writer = '', , containerId = ''] = event.tokens;
    let ofRollout = false;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, HOST_REPORTS, event.id))) return;
      if (report.kind === 'released' || report.kind === 'removed') await forgetGivenUp(unit.db, writer, containerId);
      const record = containerId === report.containerId ? await lockContainer(unit.db, containerId) : undefined;
      // The wait for an earlier report is limited: the bus may have lost it.
      const patient = event.attempt <= ATTEMPTS_IN_ORDER;
      const judged = patient ? report : { ...report, after: undefined };
      const effect = record
        ? judgeReport(record, judged, writer, event.correlationId)
        : ({ take: false, reason: 'foreign-host' } as const);
      if (!effect.take && effect.reason === 'early') throw new EarlyReportError(report.sequence, report.after);
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
    if (report.kind === 'released') this.relocation.kick();
    if (report.kind === 'started') this.relocation.started();
    if (ofRollout) this.rollouts.kick();
    // This also runs on a redelivery: the process may have died between the commit and this line.
    const over = report.kind === 'removed' || report.kind === 'released';
    if (over && writer === report.host) await this.desired.forget(writer, containerId);
  }
}
