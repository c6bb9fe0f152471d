/**
 * One request → one container, in the caller's transaction: load, decide (domain/creation.ts), reserve, write,
 * publish.
 */
import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { containerStatus, type ContainerRequested, desiredContainer, parseImageRef, SUBJECTS } from '@plinth/contracts';
import { claimEvent, derivedId, type ReceivedEvent, type UnitOfWork } from '@plinth/service-kit';
import { ProvisionerConfig } from '../config.js';
import { placementPolicy } from '../placement/domain/placement.js';
import type { TenantUsage } from '../placement/domain/tenant-quota.js';
import { loadPlacementView, release, reserve } from '../placement/placement.store.js';
import { lockTenantUsage } from '../placement/tenant.store.js';
import { findRequest, insertContainer } from './container.store.js';
import { type ContainerRecord, factOf, statusOf } from './domain/container-record.js';
import {
  type Creation,
  type CreationDraws,
  type CreationRefusal,
  type CreationRules,
  type CreationView,
  planCreation,
  tenantOf,
} from './domain/creation.js';

type Request = ReceivedEvent<ContainerRequested>;

const NO_USAGE: TenantUsage = { containers: 0, memoryBytes: 0, diskBytes: 0 };

@Injectable()
export class ContainerCreation {
  private turn = 0;
  private readonly rules: CreationRules;
  private readonly hasQuota: boolean;

  constructor(@Inject(ProvisionerConfig) private readonly config: ProvisionerConfig) {
    const quota = {
      containers: config.PLINTH_TENANT_MAX_CONTAINERS,
      memoryBytes: config.PLINTH_TENANT_MAX_MEMORY_BYTES,
      diskBytes: config.PLINTH_TENANT_MAX_DISK_BYTES,
    };
    this.hasQuota = Object.values(quota).some((limit) => limit !== undefined);
    this.rules = {
      quota,
      policy: placementPolicy(config.PLINTH_PLACEMENT),
      defaults: {
        memoryBytes: config.PLINTH_DEFAULT_MEMORY_BYTES,
        cpus: config.PLINTH_DEFAULT_CPUS,
        pids: config.PLINTH_DEFAULT_PIDS,
      },
    };
  }

  /**
   * @param requestDigest digest of the requested values: it distinguishes a repeated request from another one with the
   * same id
   */
  async decide(unit: UnitOfWork, event: Request, requestDigest: string): Promise<void> {
    if (await claimEvent(unit.db, SUBJECTS.containerRequested, event.id)) {
      const refusal = await this.create(unit, event, requestDigest);
      if (refusal) refuse(unit, event, refusal);
      return;
    }
    const known = await findRequest(unit.db, event.id);
    if (known && known.digest !== requestDigest) refuse(unit, event, ID_REUSED, requestDigest);
  }

  /** Refuses a request that could not be decided in as many attempts as the bus makes. */
  refuseUndecided(unit: UnitOfWork, event: Request): void {
    refuse(unit, event, UNDECIDED);
  }

  /** @returns the reason of a refusal; nothing was written then */
  private async create(unit: UnitOfWork, event: Request, digest: string): Promise<CreationRefusal | undefined> {
    for (;;) {
      const plan = planCreation(event.data, await this.view(unit, event.data), this.rules, this.draws(event));
      if (!plan.ok) return plan;
      const outcome = await this.reserveFirst(unit, plan);
      if (outcome === 'no-room') return plan.allTaken;
      // The image was revoked or retired after the view was loaded, and is never promoted again: the next view has
      // another, or none.
      if (outcome === 'image-withdrawn') continue;
      if (await insertContainer(unit.db, outcome, event.id, digest)) {
        publishCreated(unit, event.id, outcome);
        return undefined;
      }
      await release(unit.db, outcome.config.host, plan.resources);
      const { tenant, name } = outcome.config;
      return { reason: 'name-taken', message: `tenant ${tenant} has a container named ${name} already` };
    }
  }

  /** @returns the container on the first host that has room, which is reserved */
  private async reserveFirst(
    unit: UnitOfWork,
    { hosts, containerOn, image, resources }: Plan,
  ): Promise<ContainerRecord | 'no-room' | 'image-withdrawn'> {
    for (const candidate of hosts) {
      const room = await reserve(unit.db, candidate.host, image, resources, this.config.PLINTH_CPU_OVERCOMMIT);
      if (room === 'image-withdrawn') return room;
      if (room === 'reserved') return containerOn(candidate);
    }
    return 'no-room';
  }

  /** Locks the tenant's usage, if there is a quota, until the transaction ends: no other request adds to it. */
  private async view(unit: UnitOfWork, request: ContainerRequested): Promise<CreationView> {
    const { PLINTH_CPU_OVERCOMMIT: overcommit, PLINTH_HOST_LOST_SECONDS: lostSeconds } = this.config;
    const asked = request.image === undefined ? undefined : parseImageRef(request.image);
    const { hosts, catalogue } = await loadPlacementView(unit.db, asked?.name, overcommit, lostSeconds);
    return { hosts, catalogue, usage: this.hasQuota ? await lockTenantUsage(unit.db, tenantOf(request)) : NO_USAGE };
  }

  private draws(event: Request): CreationDraws {
    return {
      requestedAt: new Date(event.storedAtMs).toISOString(),
      decidedAt: new Date().toISOString(),
      containerId: randomBytes(16).toString('hex'),
      volumeId: randomBytes(16).toString('hex'),
      hostDraw: Math.random(),
      nodeDraw: Math.random(),
      turn: this.turn++,
    };
  }
}

type Plan = Extract<Creation, { ok: true }>;

const ID_REUSED: CreationRefusal = {
  reason: 'request-id-reused',
  message: 'another request has this id already; use a new id',
};
const UNDECIDED: CreationRefusal = {
  reason: 'internal-error',
  message: 'the request could not be decided; see the log of the provisioner for the reason',
};

function publishCreated(unit: UnitOfWork, requestId: string, record: ContainerRecord): void {
  const { config } = record;
  const { imageAsked, fallbackReason, storageNode, dataVolume } = config;
  unit.publish(desiredContainer(config.host, record.id), config);
  unit.publish(
    SUBJECTS.containerConfigured,
    { ...factOf(config), imageAsked, fallbackReason, storageNode, dataVolume, requestId },
    { aggregate: `container:${record.id}` },
  );
  unit.publish(containerStatus(record.id), statusOf(record));
}

/** @param variant distinguishes refusals of different requests with one id */
function refuse(unit: UnitOfWork, { id, attempt, data }: Request, refusal: CreationRefusal, variant = ''): void {
  const { reason, message } = refusal;
  unit.refuse(
    SUBJECTS.containerRejected,
    { operation: 'create', reason, message, name: data.name, tenant: data.tenant },
    variant === '' ? undefined : derivedId('refused', id, variant, String(attempt)),
  );
}
