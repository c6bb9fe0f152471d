/** Steps of a rollout that change containers: many in one transaction, each read and written together with the others. */
import { Inject, Injectable } from '@nestjs/common';
import { containerStatus, desiredContainer } from '@plinth/contracts';
import { newId, type UnitOfWork } from '@plinth/service-kit';
import { ProvisionerConfig } from '../config.js';
import { lockContainers, saveContainers } from '../containers/container-set.store.js';
import { type ContainerRecord, statusOf } from '../containers/domain/container-record.js';
import { beginRestore, beginUpdate, chooseTarget, fallbackImage } from '../containers/domain/image-update.js';
import { requestedStep } from '../containers/domain/requested-step.js';
import { loadUpdateCatalogue } from '../containers/update.store.js';
import { imageNames } from './container-update.js';
import type { RolloutStep } from './domain/rollout-view.js';
import { changeMembers, type MemberChange } from './member.store.js';
import type { RolloutRow } from './rollout.store.js';

type StepOf<K extends RolloutStep['kind']> = Extract<RolloutStep, { kind: K }>;

interface Changed {
  readonly record: ContainerRecord;
  readonly message: string;
}

@Injectable()
export class RolloutSwitch {
  constructor(@Inject(ProvisionerConfig) private readonly config: ProvisionerConfig) {}

  async switch(unit: UnitOfWork, row: RolloutRow, steps: readonly StepOf<'switch'>[]): Promise<void> {
    const records = await lockContainers(
      unit.db,
      steps.map(({ containerId }) => containerId),
    );
    const going = steps.flatMap((step) => {
      const record = records.get(step.containerId);
      // The container may have changed between the view and the lock; it is planned again then.
      if (!record || record.config.desired !== 'running') return [];
      const next = requestedStep(record, 'update-requested');
      return next.ok ? [{ step, record, state: next.state }] : [];
    });
    const names = going.flatMap(({ record, step }) => imageNames(record, step.image));
    const catalogue = await loadUpdateCatalogue(
      unit.db,
      [...new Set(names)],
      going.map(({ record }) => record.config.host),
      this.config.PLINTH_HOST_LOST_SECONDS,
    );
    const changed: Changed[] = [];
    const members: MemberChange[] = [];
    const now = new Date().toISOString();
    for (const { step, record, state } of going) {
      const { ordinal, image } = step;
      const chosen = chooseTarget(record, image, catalogue);
      if (!chosen.ok) {
        members.push({ ordinal, phase: 'skipped', reason: chosen.reason, message: chosen.message });
        continue;
      }
      const updateId = newId();
      const ids = { updateId, rolloutId: row.id };
      const times = { requestedAt: now, decidedAt: now };
      const next = beginUpdate(record, chosen.target, row.request, ids, fallbackImage(record), times);
      changed.push({ record: { ...next, state }, message: `rollout ${row.id} moves it to ${image}` });
      members.push({ ordinal, phase: 'switching', updateId });
    }
    await announce(unit, changed);
    await changeMembers(unit.db, row.id, members);
  }

  async restore(unit: UnitOfWork, row: RolloutRow, steps: readonly StepOf<'restore'>[]): Promise<void> {
    const records = await lockContainers(
      unit.db,
      steps.map(({ containerId }) => containerId),
    );
    const going = steps.flatMap((step) => {
      const record = records.get(step.containerId);
      return !record || record.moving || record.config.desired === 'removed' ? [] : [{ step, record }];
    });
    const names = going.flatMap(({ record, step }) => imageNames(record, step.image));
    const { candidates } = await loadUpdateCatalogue(
      unit.db,
      [...new Set(names)],
      [],
      this.config.PLINTH_HOST_LOST_SECONDS,
    );
    const changed: Changed[] = [];
    const members: MemberChange[] = [];
    const now = new Date().toISOString();
    for (const { step, record } of going) {
      const { ordinal, image } = step;
      const found = candidates.find((candidate) => candidate.image === image);
      if (found?.state !== 'promoted' || found.contentDigest === null) {
        const message = `${image} is ${found?.state ?? 'unknown'}: it stays on ${record.config.image}`;
        members.push({ ordinal, phase: 'failed', reason: 'image-unavailable', message });
        continue;
      }
      const target = { image, contentDigest: found.contentDigest };
      const next = beginRestore(record, target, { requestedAt: now, decidedAt: now });
      changed.push({ record: next, message: `rollout ${row.id} reverts it to ${image}` });
      members.push({ ordinal, phase: 'restoring', restoreGeneration: next.config.generation });
    }
    await announce(unit, changed);
    await changeMembers(unit.db, row.id, members);
  }
}

async function announce(unit: UnitOfWork, changed: readonly Changed[]): Promise<void> {
  await saveContainers(
    unit.db,
    changed.map(({ record, message }) => {
      const { decidedAt, generation } = record.config;
      return { record, entry: { at: decidedAt, kind: 'configured', generation, message } };
    }),
  );
  for (const { record } of changed) {
    unit.publish(desiredContainer(record.config.host, record.id), record.config);
    unit.publish(containerStatus(record.id), statusOf(record));
  }
}
