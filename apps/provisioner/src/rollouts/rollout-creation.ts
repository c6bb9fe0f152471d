/** One request → one rollout, its containers chosen once, in one transaction. */
import { Inject, Injectable } from '@nestjs/common';
import { KNOWN_GOOD, parseImageRef, type RolloutRejected, type RolloutRequested, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, newId, Outbox, type ReceivedEvent, type UnitOfWork } from '@plinth/service-kit';
import { insertKnownGood, insertSelected } from './selection.store.js';
import { noteNeeds } from './member.store.js';
import { insertRollout, lockRollout } from './rollout.store.js';
import { loadUpdateCatalogue } from '../containers/update.store.js';
import { exactTarget, noKnownGood, type UpdateCatalogue } from '../containers/domain/image-update.js';
import { announceRollout } from './rollout-announcement.js';
import { RolloutProgress } from './rollout-progress.js';
import { ProvisionerConfig } from '../config.js';

type Refusal = Pick<RolloutRejected, 'reason' | 'message'>;

@Injectable()
export class RolloutCreation {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(RolloutProgress) private readonly progress: RolloutProgress,
  ) {}

  async create(event: ReceivedEvent<RolloutRequested>): Promise<void> {
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const refusal = await this.start(unit, event.data, event.id);
      if (!refusal) return;
      unit.refuse(SUBJECTS.rolloutRejected, { operation: 'start', ...refusal });
    });
    this.progress.kick();
  }

  /** @returns the reason of a refusal; nothing was written then */
  async start(unit: UnitOfWork, request: RolloutRequested, requestId: string): Promise<Refusal | undefined> {
    if (Object.values(request.select).every((value) => value === undefined)) {
      return {
        reason: 'invalid-request',
        message: 'select must name at least one of image, tenant, host, storageNode, datacenter, follow, containers',
      };
    }
    const { PLINTH_HOST_LOST_SECONDS: lostSeconds } = this.config;
    const asked = parseImageRef(request.to);
    const catalogue = await loadUpdateCatalogue(unit.db, asked ? [asked.name] : [], [], lostSeconds);
    const target = exactTarget(request.to, catalogue.defaults);
    const unavailable = target === KNOWN_GOOD ? undefined : refusalOf(request.to, target, catalogue);
    if (unavailable || target === undefined) return unavailable;
    const id = newId();
    const { correlationId } = unit.cause;
    await unit.db.query('SAVEPOINT selection');
    await insertRollout(unit.db, { id, requestId, request, correlationId, target });
    const members =
      target === KNOWN_GOOD
        ? await insertKnownGood(unit.db, id, request.select, lostSeconds, noKnownGood('%1$s', '%2$s'))
        : await insertSelected(unit.db, id, request.select, target);
    if (members === 0) {
      await unit.db.query('ROLLBACK TO SAVEPOINT selection');
      return { reason: 'nothing-selected', message: 'no container matches; plinth ps lists all containers' };
    }
    await noteNeeds(unit.db, id);
    const row = await lockRollout(unit.db, id);
    if (!row) throw new Error('the new rollout was not found');
    await announceRollout(unit.causedBy({ correlationId, causationId: requestId }), row, [
      (fact) => ({
        subject: SUBJECTS.rolloutStarted,
        data: { ...fact, message: `${members} containers to ${target}`, requestId },
      }),
    ]);
    return undefined;
  }
}

function refusalOf(asked: string, target: string | undefined, catalogue: UpdateCatalogue): Refusal | undefined {
  if (target === undefined)
    return {
      reason: 'image-unavailable',
      message: `${asked} has no default version; name one, such as ${asked}@v1`,
    };
  const found = catalogue.candidates.find(({ image }) => image === target);
  if (!found)
    return { reason: 'image-unavailable', message: `there is no image ${target}; plinth image ls lists all images` };
  if (found.state !== 'promoted')
    return { reason: 'image-unavailable', message: `${target} is ${found.state}: no container can be started on it` };
  return undefined;
}
