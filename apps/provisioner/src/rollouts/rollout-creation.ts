/** One request → one rollout, its containers chosen once, in one transaction. */
import { Inject, Injectable } from '@nestjs/common';
import {
  formatImageRef,
  type ImageRef,
  KNOWN_GOOD,
  parseExactImageRef,
  parseImageRef,
  type RolloutRejected,
  type RolloutRequested,
  type RolloutSelection,
  SUBJECTS,
} from '@plinth/contracts';
import { claimEvent, newId, Outbox, type OutboxEvent, type ReceivedEvent } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { CONTAINER_COLUMNS, type ContainerRow, recordOf } from '../containers/container.store.js';
import { insertRollout, lockRollout, type NewMember } from './rollout.store.js';
import { loadUpdateCatalogue } from '../containers/update.store.js';
import { imageNames } from './container-update.js';
import { chooseTarget, exactTarget, fallbackImage, type UpdateCatalogue } from '../containers/domain/image-update.js';
import type { ContainerRecord } from '../containers/domain/container-record.js';
import { announceRollout } from './rollout-announcement.js';
import { RolloutProgress } from './rollout-progress.js';
import { ProvisionerConfig } from '../config.js';

type Add = (event: OutboxEvent) => void;
type Refusal = Pick<RolloutRejected, 'reason' | 'message'>;

@Injectable()
export class RolloutCreation {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(RolloutProgress) private readonly progress: RolloutProgress,
  ) {}

  async create(event: ReceivedEvent<RolloutRequested>): Promise<void> {
    await this.outbox.transact(async (manager, add) => {
      if (!(await claimEvent(manager, event.subject, event.id))) return;
      const refusal = await this.start(manager, add, event.data, event.id, event.correlationId);
      if (!refusal) return;
      const data: RolloutRejected = { operation: 'start', requestId: event.id, ...refusal, problems: [] };
      add({
        subject: SUBJECTS.rolloutRejected,
        aggregate: `request:${event.id}`,
        data,
        correlationId: event.correlationId,
        causationId: event.id,
      });
    });
    this.progress.kick();
  }

  /** @returns why not; then nothing was written */
  async start(
    manager: EntityManager,
    add: Add,
    request: RolloutRequested,
    requestId: string,
    correlationId: string,
  ): Promise<Refusal | undefined> {
    if (Object.values(request.select).every((value) => value === undefined)) {
      return {
        reason: 'invalid-request',
        message: 'select must name at least one of image, tenant, host, storageNode, datacenter, follow, containers',
      };
    }
    const records = await selectContainers(manager, request.select);
    const catalogue = await loadUpdateCatalogue(
      manager,
      namesOf(records, request.to),
      this.config.PLINTH_HOST_LOST_SECONDS,
    );
    const target = exactTarget(request.to, catalogue.defaults);
    if (target === undefined)
      return {
        reason: 'image-unavailable',
        message: `${request.to} has no default version; name one, such as ${request.to}@v1`,
      };
    if (target !== KNOWN_GOOD) {
      const found = catalogue.candidates.find(({ image }) => image === target);
      if (!found)
        return {
          reason: 'image-unavailable',
          message: `there is no image ${target}; plinth image ls shows what there is`,
        };
      if (found.state !== 'promoted')
        return { reason: 'image-unavailable', message: `${target} is ${found.state}: nothing new starts on it` };
    }
    const members = records.map((record) => memberOf(record, target, catalogue));
    if (members.length === 0)
      return { reason: 'nothing-selected', message: 'no container matches; plinth ps shows what there is' };
    const id = newId();
    await insertRollout(manager, { id, requestId, request, correlationId, target }, members);
    const row = await lockRollout(manager, id);
    if (!row) throw new Error('the rollout that was just made is not there');
    await announceRollout(manager, add, row, [
      (fact) => ({
        subject: SUBJECTS.rolloutStarted,
        data: { ...fact, message: `${members.length} containers to ${target}`, requestId },
      }),
    ]);
    return undefined;
  }
}

/** A container that is on the way back or on trial comes from the image that it would go back to. */
function memberOf(record: ContainerRecord, target: string, catalogue: UpdateCatalogue): NewMember {
  const from = fallbackImage(record).image;
  const member = { containerId: record.id, from, to: target, phase: 'pending' as const, reason: null, message: null };
  if (target !== KNOWN_GOOD) return member;
  const chosen = chooseTarget(record, target, catalogue);
  return chosen.ok
    ? { ...member, to: chosen.target.image }
    : { ...member, to: from, phase: 'skipped', reason: chosen.reason, message: chosen.message };
}

function namesOf(records: readonly ContainerRecord[], to: string): readonly string[] {
  const asked: ImageRef | undefined = parseImageRef(to);
  return [...new Set([...(asked ? [asked.name] : []), ...records.flatMap((record) => imageNames(record, to))])];
}

/** In turns over the hosts, so that a batch is spread over them. */
async function selectContainers(manager: EntityManager, select: RolloutSelection): Promise<readonly ContainerRecord[]> {
  const exact = select.image === undefined ? undefined : parseExactImageRef(select.image);
  const rows: ContainerRow[] = await manager.query(
    `SELECT ${CONTAINER_COLUMNS} FROM (
       SELECT c.*, row_number() OVER (PARTITION BY c.host ORDER BY c.ordinal) AS turn FROM containers c LEFT JOIN hosts h ON h.host = c.host
        WHERE c.state <> 'removed' AND c.config->>'desired' <> 'removed'
          AND ($1::text IS NULL OR c.config->>'image' = $1) AND ($2::text IS NULL OR split_part(c.config->>'image', '@', 1) = $2)
          AND ($3::text IS NULL OR c.tenant = $3) AND ($4::text IS NULL OR c.host = $4) AND ($5::text IS NULL OR c.config->>'storageNode' = $5)
          AND ($6::text IS NULL OR h.datacenter = $6) AND ($7::text IS NULL OR c.config->>'follow' = $7)
          AND ($8::text[] IS NULL OR c.name = ANY($8) OR c.id = ANY($8))) s
      ORDER BY turn, host`,
    [
      exact ? formatImageRef(exact) : null,
      exact ? null : (select.image ?? null),
      select.tenant ?? null,
      select.host ?? null,
      select.storageNode ?? null,
      select.datacenter ?? null,
      select.follow ?? null,
      select.containers ?? null,
    ],
  );
  return rows.map(recordOf);
}
