/**
 * Many reports in one transaction, each judged as it is alone (container-reports.ts); what they read and write is read
 * and written in statements for all of them.
 */
import { Inject, Injectable } from '@nestjs/common';
import { containerStatus, desiredContainer, HOST_REPORTS, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvents, type Logger, LOGGER, Outbox, unclaimEvents, UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { closeAllChanges } from '../containers/change.store.js';
import { lockContainers, saveContainers } from '../containers/container-set.store.js';
import { type ContainerRecord, statusOf } from '../containers/domain/container-record.js';
import { forgetAllGivenUp, rememberGivenUp } from '../containers/released-config.store.js';
import { correction } from '../moves/domain/relocation.js';
import { releaseNetworks } from '../network/address.store.js';
import { releaseShares, sharesOf } from '../placement/placement.store.js';
import { judgeMembers, membersStarted } from '../rollouts/member.store.js';
import { ContainerReports, EarlyReportError, inOrder, type Report, sourceOf } from './container-reports.js';
import { answersChange, changedFact } from './domain/change-reports.js';
import { judgeReport, type ReportEffect } from './domain/reports.js';

type Taken = Extract<ReportEffect, { take: true }> & { readonly event: Report; readonly before: ContainerRecord };
type Refused = Extract<ReportEffect, { take: false }> & { readonly event: Report; readonly before?: ContainerRecord };

@Injectable()
export class ReportBatch {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ContainerReports) private readonly reports: ContainerReports,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * @param events of each container one, and none of a release, for which a host is chosen
   * @returns those that came before an earlier report: they have to be delivered again
   */
  async take(events: readonly Report[]): Promise<ReadonlyMap<Report, EarlyReportError>> {
    const early = new Map<Report, EarlyReportError>();
    let ofRollout = false;
    await this.outbox.transactMany(async (manager, add) => {
      const unitOf = (event: Report): UnitOfWork => new UnitOfWork(manager, causeOf(event), add);
      const fresh = await claimEvents(
        manager,
        HOST_REPORTS,
        events.map(({ id }) => id),
      );
      const { taken, refused } = await this.judge(
        manager,
        events.filter(({ id }) => fresh.has(id)),
      );
      for (const one of refused) {
        if (one.reason === 'early') early.set(one.event, new EarlyReportError(one.event.data));
        else await this.refuse(unitOf(one.event), one);
      }
      await unclaimEvents(
        manager,
        HOST_REPORTS,
        [...early.keys()].map(({ id }) => id),
      );
      ofRollout = await this.write(manager, taken, unitOf);
    });
    await this.reports.follow(
      events.filter((event) => !early.has(event)),
      ofRollout,
    );
    return early;
  }

  private async judge(manager: EntityManager, events: readonly Report[]) {
    await forgetAllGivenUp(
      manager,
      events.flatMap((event) => (event.data.kind === 'removed' ? [sourceOf(event)] : [])),
    );
    const own = events.filter((event) => sourceOf(event).containerId === event.data.containerId);
    const records = await lockContainers(
      manager,
      own.map(({ data }) => data.containerId),
    );
    const taken: Taken[] = [];
    const refused: Refused[] = [];
    for (const event of events) {
      const { writer, containerId } = sourceOf(event);
      const before = containerId === event.data.containerId ? records.get(containerId) : undefined;
      const effect = before
        ? judgeReport(before, inOrder(event), writer, event.correlationId)
        : ({ take: false, reason: 'foreign-host' } as const);
      if (effect.take && before) taken.push({ ...effect, event, before });
      else if (!effect.take) refused.push({ ...effect, event, before });
    }
    return { taken, refused };
  }

  private async refuse(unit: UnitOfWork, { event, before, reason }: Refused): Promise<void> {
    const { writer, containerId } = sourceOf(event);
    const config = before && correction(before, event.data, writer, reason === 'stale', new Date().toISOString());
    this.logger.warn(
      { writer, containerId, kind: event.data.kind, reason, corrected: config?.desired, eventId: event.id },
      'report ignored',
    );
    if (config) unit.publish(desiredContainer(writer, containerId), config);
    if (config?.desired === 'released') await rememberGivenUp(unit.db, writer, config);
  }

  /** @returns whether a rollout may go on */
  private async write(
    manager: EntityManager,
    taken: readonly Taken[],
    unitOf: (event: Report) => UnitOfWork,
  ): Promise<boolean> {
    await saveContainers(
      manager,
      taken.map(({ record, event: { data } }) => {
        const { at, kind, generation, message = null } = data;
        return { record, entry: { at, kind, generation, message } };
      }),
    );
    const removed = taken.filter(({ record }) => record.state === 'removed').map(({ record }) => record);
    await releaseNetworks(
      manager,
      removed.flatMap(({ id, config }) => (config.address ? [id] : [])),
    );
    await releaseShares(manager, sharesOf(removed.map(({ config }) => config)));
    const isJudged = await judgeMembers(
      manager,
      taken.flatMap(({ verdict }) => verdict ?? []),
    );
    const started = taken.filter(({ event }) => event.data.kind === 'started');
    const isRestored = await membersStarted(
      manager,
      started.map(({ event: { data } }) => ({ containerId: data.containerId, generation: data.generation })),
    );
    const answers = taken.filter(({ event }) => answersChange(event.data)).map(({ event }) => event.data);
    const changes = await closeAllChanges(manager, answers);
    for (const { event, record, before, fact } of taken) {
      const unit = unitOf(event);
      if (record.config !== before.config) unit.publish(desiredContainer(record.config.host, record.id), record.config);
      if (fact) unit.publishEvent(fact, { aggregate: `container:${record.id}` });
      for (const change of changes.get(record.id) ?? []) {
        const data = changedFact(record.config, change, event.data);
        if (data) unit.publish(SUBJECTS.containerChanged, data, { aggregate: `container:${record.id}` });
      }
      unit.publish(containerStatus(record.id), statusOf(record));
    }
    return isJudged || isRestored;
  }
}
