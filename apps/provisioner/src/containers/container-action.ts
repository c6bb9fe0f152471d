/** Stop, start, restart, remove: one change of one container's config, in one transaction. */
import { Inject, Injectable } from '@nestjs/common';
import {
  type ContainerActionRequested,
  type ContainerRejected,
  containerStatus,
  desiredContainer,
  SUBJECTS,
} from '@plinth/contracts';
import { causeOf, claimEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { lockContainer, lockContainerByName, saveContainer } from './container.store.js';
import { changeConfig, type ConfigChange, DEFAULT_TENANT } from './domain/container-config.js';
import { type ContainerRecord, statusOf } from './domain/container-record.js';
import { requestedStep, type RequestedEvent } from './domain/requested-step.js';

const EVENTS: Readonly<Record<ConfigChange['kind'], RequestedEvent>> = {
  stop: 'stop-requested',
  start: 'start-requested',
  restart: 'restart-requested',
  remove: 'remove-requested',
};

@Injectable()
export class ContainerAction {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  async apply(event: ReceivedEvent<ContainerActionRequested>, change: ConfigChange): Promise<void> {
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const refuse = (reason: ContainerRejected['reason'], message: string, record?: ContainerRecord): void =>
        unit.refuse(SUBJECTS.containerRejected, {
          operation: change.kind,
          reason,
          message,
          name: record?.config.name ?? event.data.name,
          tenant: record?.config.tenant ?? event.data.tenant,
          containerId: record?.id ?? event.data.id,
        });
      const found = await findContainer(unit.db, event.data);
      if (!found.ok) return refuse(found.reason, found.message);
      const { record } = found;
      const step = requestedStep(record, EVENTS[change.kind]);
      if (!step.ok) return refuse(step.reason, step.message, record);
      const config = changeConfig(
        record.config,
        change,
        new Date(event.storedAtMs).toISOString(),
        new Date().toISOString(),
      );
      const next: ContainerRecord = { ...record, state: step.state, config };
      await saveContainer(unit.db, next, {
        at: config.decidedAt,
        kind: 'configured',
        generation: config.generation,
        message: `${change.kind} requested`,
      });
      unit.publish(desiredContainer(config.host, record.id), config);
      unit.publish(containerStatus(record.id), statusOf(next));
    });
  }
}

type Found =
  | { readonly ok: true; readonly record: ContainerRecord }
  | { readonly ok: false; readonly reason: 'invalid-request' | 'container-not-found'; readonly message: string };

/** Loads the container that a request names, its row locked. */
export async function findContainer(
  manager: EntityManager,
  { id, name, tenant = DEFAULT_TENANT }: ContainerActionRequested,
): Promise<Found> {
  if ((id === undefined) === (name === undefined))
    return {
      ok: false,
      reason: 'invalid-request',
      message: 'name the container by id or by name, not by both or neither',
    };
  const record =
    id !== undefined ? await lockContainer(manager, id) : await lockContainerByName(manager, tenant, name ?? '');
  if (record) return { ok: true, record };
  return {
    ok: false,
    reason: 'container-not-found',
    message:
      `there is no container ${id ?? name}${id ? '' : ` of tenant ${tenant}`}; ` +
      'plinth ps --all lists all containers',
  };
}
