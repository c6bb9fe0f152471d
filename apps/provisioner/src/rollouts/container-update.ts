/**
 * Moves one container to another image: choose, write the config with the image on trial, announce; in one transaction.
 */
import { Inject, Injectable } from '@nestjs/common';
import {
  type ContainerConfig,
  containerStatus,
  desiredContainer,
  type ContainerUpdateRequested,
  parseImageRef,
  SUBJECTS,
} from '@plinth/contracts';
import { causeOf, claimEvent, newId, Outbox, type ReceivedEvent, type UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { saveContainer } from '../containers/container.store.js';
import { supersedeMember } from './member.store.js';
import { loadUpdateCatalogue } from '../containers/update.store.js';
import { findContainer } from '../containers/container-action.js';
import { type ContainerRecord, statusOf } from '../containers/domain/container-record.js';
import { requestedStep } from '../containers/domain/requested-step.js';
import { beginUpdate, chooseTarget, fallbackImage, type UpdateRefusal } from '../containers/domain/image-update.js';
import { ProvisionerConfig } from '../config.js';

@Injectable()
export class ContainerUpdate {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
  ) {}

  async apply(event: ReceivedEvent<ContainerUpdateRequested>): Promise<void> {
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const found = await findContainer(unit.db, event.data);
      const outcome = found.ok ? await this.begin(unit.db, found.record, event) : found;
      if (outcome.ok) {
        await supersedeMember(unit.db, outcome.record.id, outcome.before);
        await announceUpdate(unit, outcome.record, `update to ${outcome.record.config.image} requested`);
        return;
      }
      const record = found.ok ? found.record : undefined;
      unit.refuse(SUBJECTS.containerRejected, {
        operation: 'update',
        reason: outcome.reason,
        message: outcome.message,
        name: record?.config.name ?? event.data.name,
        tenant: record?.config.tenant ?? event.data.tenant,
        containerId: record?.id ?? event.data.id,
      });
    });
  }

  private async begin(
    manager: EntityManager,
    record: ContainerRecord,
    event: ReceivedEvent<ContainerUpdateRequested>,
  ): Promise<{ ok: true; record: ContainerRecord; before: string | undefined } | UpdateRefusal> {
    const step = requestedStep(record, 'update-requested');
    if (!step.ok) return step;
    const catalogue = await loadUpdateCatalogue(
      manager,
      imageNames(record, event.data.to),
      [record.config.host],
      this.config.PLINTH_HOST_LOST_SECONDS,
    );
    const chosen = chooseTarget(record, event.data.to, catalogue);
    if (!chosen.ok) return chosen;
    const times = { requestedAt: new Date(event.storedAtMs).toISOString(), decidedAt: new Date().toISOString() };
    const next = beginUpdate(record, chosen.target, event.data, { updateId: newId() }, fallbackImage(record), times);
    return { ok: true, record: { ...next, state: step.state }, before: record.config.update?.updateId };
  }
}

/** Names of the images that an update may be about. */
export function imageNames(
  { config, knownGood }: { readonly config: ContainerConfig; readonly knownGood: readonly string[] },
  to: string,
): readonly string[] {
  return [...new Set([to, config.image, ...knownGood].flatMap((text) => parseImageRef(text)?.name ?? []))];
}

/** Writes a container whose config was changed, and publishes the config for its host, the fact and the status. */
export async function announceUpdate(unit: UnitOfWork, record: ContainerRecord, message: string): Promise<void> {
  const { config } = record;
  await saveContainer(unit.db, record, {
    at: config.decidedAt,
    kind: 'configured',
    generation: config.generation,
    message,
  });
  unit.publish(desiredContainer(config.host, record.id), config);
  unit.publish(containerStatus(record.id), statusOf(record));
}
