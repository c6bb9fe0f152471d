/** One request → one container, in the caller's transaction: load, decide, reserve, write, announce. */
import { Inject, Injectable } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import {
  containerStatus,
  type ContainerRejected,
  type ContainerRequested,
  desiredContainer,
  parseImageRef,
  SUBJECTS,
} from '@plinth/contracts';
import { claimEvent, derivedId, type ReceivedEvent, type UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { findRequest, insertContainer } from './container.store.js';
import { loadPlacementView, release, reserve } from '../placement/placement.store.js';
import { ProvisionerConfig } from '../config.js';
import { DEFAULT_TENANT, type Defaults, newContainerConfig, resourcesOf } from './domain/container-config.js';
import { type ContainerRecord, factOf, statusOf } from './domain/container-record.js';
import { lockTenantUsage } from '../placement/tenant.store.js';
import { quotaRefusal, type TenantQuota, type TenantUsage } from '../placement/domain/tenant-quota.js';
import { resolveImage } from '../images/domain/image-resolution.js';
import { choosePlacement, inDatacenter, noRoom, placementPolicy } from '../placement/domain/placement.js';

type Refusal = Pick<ContainerRejected, 'reason' | 'message'>;

@Injectable()
export class ContainerCreation {
  private turn = 0;
  private readonly defaults: Defaults;
  private readonly quota: TenantQuota;

  constructor(@Inject(ProvisionerConfig) private readonly config: ProvisionerConfig) {
    this.quota = {
      containers: config.PLINTH_TENANT_MAX_CONTAINERS,
      memoryBytes: config.PLINTH_TENANT_MAX_MEMORY_BYTES,
      diskBytes: config.PLINTH_TENANT_MAX_DISK_BYTES,
    };
    this.defaults = {
      memoryBytes: config.PLINTH_DEFAULT_MEMORY_BYTES,
      cpus: config.PLINTH_DEFAULT_CPUS,
      pids: config.PLINTH_DEFAULT_PIDS,
    };
  }

  /** @param requestDigest of what is asked for: tells a request that came again from another one under its id */
  async decide(unit: UnitOfWork, event: ReceivedEvent<ContainerRequested>, requestDigest: string): Promise<void> {
    if (!(await claimEvent(unit.db, SUBJECTS.containerRequested, event.id))) {
      const known = await findRequest(unit.db, event.id);
      if (known && known.digest !== requestDigest) {
        this.refuse(
          unit,
          event,
          { reason: 'request-id-reused', message: 'a request with this id asked for something else; use a new id' },
          requestDigest,
        );
      }
      return;
    }
    const refusal = await this.place(unit, event, requestDigest);
    if (refusal) this.refuse(unit, event, refusal);
  }

  /** It could not be decided, however often it was tried. */
  giveUp(unit: UnitOfWork, event: ReceivedEvent<ContainerRequested>): void {
    this.refuse(unit, event, {
      reason: 'internal-error',
      message: 'the request could not be decided; the log of the provisioner says why',
    });
  }

  /** @returns why not; then nothing was written */
  private async place(
    unit: UnitOfWork,
    event: ReceivedEvent<ContainerRequested>,
    digest: string,
  ): Promise<Refusal | undefined> {
    const request = event.data;
    const { PLINTH_CPU_OVERCOMMIT: overcommit, PLINTH_HOST_LOST_SECONDS: lostSeconds } = this.config;
    const asked = request.image === undefined ? undefined : parseImageRef(request.image);
    const view = await loadPlacementView(unit.db, asked?.name, overcommit, lostSeconds);
    const hosts = inDatacenter(view.hosts, request.datacenter);
    if (hosts.length === 0) {
      const where = request.datacenter === undefined ? '' : ` in data centre ${request.datacenter}`;
      return { reason: 'no-host', message: `no host is ready${where}; plinth hosts shows what there is` };
    }
    const reachable = new Set(hosts.flatMap((host) => host.storageNodes));
    const resolution = resolveImage(request.image, request.strict ?? false, view.catalogue, reachable);
    if (!resolution.ok) return resolution;

    const resources = resourcesOf(request, this.defaults);
    const policy = placementPolicy(this.config.PLINTH_PLACEMENT);
    const overQuota = quotaRefusal(
      request.tenant ?? DEFAULT_TENANT,
      await this.usage(unit.db, request.tenant ?? DEFAULT_TENANT),
      resources,
      this.quota,
    );
    if (overQuota) return { reason: 'quota-exceeded', message: overQuota };
    const placement = choosePlacement(
      hosts,
      resolution.image.storageNodes,
      resources,
      policy,
      Math.random(),
      this.turn++,
    );
    if (!placement.ok) return placement;
    for (const host of placement.hosts) {
      const room = await reserve(unit.db, host.host, resolution.image, resources, overcommit);
      if (room === 'no-room') continue;
      // Revoked or retired since it was looked up, and never promoted again: the next look finds another, or none.
      if (room === 'image-withdrawn') return this.place(unit, event, digest);
      const nodes = resolution.image.storageNodes.filter((node) => host.storageNodes.includes(node));
      const containerId = randomBytes(16).toString('hex');
      const requestedAt = new Date(event.storedAtMs).toISOString();
      const config = newContainerConfig(
        request,
        {
          containerId,
          volumeId: randomBytes(16).toString('hex'),
          name: request.name ?? `c-${containerId.slice(0, 8)}`,
          tenant: request.tenant ?? DEFAULT_TENANT,
          host: host.host,
          storageNode: nodes[Math.floor(Math.random() * nodes.length)] ?? nodes[0] ?? '',
          image: resolution.image,
          fallbackReason: resolution.fallbackReason,
          requestedAt,
          decidedAt: new Date().toISOString(),
        },
        this.defaults,
      );
      const record: ContainerRecord = {
        id: containerId,
        state: 'scheduled',
        config,
        pid: null,
        restarts: 0,
        exitCode: null,
        message: null,
        reportSequence: 0,
        requestedAt,
        startedAt: null,
        knownGood: [],
        update: null,
        runningImage: null,
        moving: null,
        health: null,
        failedChecks: [],
      };
      if (!(await insertContainer(unit.db, record, event.id, digest))) {
        await release(unit.db, host.host, resources);
        return {
          reason: 'name-taken',
          message: `tenant ${config.tenant} has a container named ${config.name} already`,
        };
      }
      this.announce(unit, event, record);
      return undefined;
    }
    return { reason: 'no-capacity', message: noRoom(placement.hosts, resources) };
  }

  /** What the tenant has; without a quota nobody asks. Until the transaction ends nobody else adds to it. */
  private usage(manager: EntityManager, tenant: string): Promise<TenantUsage> {
    if (Object.values(this.quota).every((limit) => limit === undefined))
      return Promise.resolve({ containers: 0, memoryBytes: 0, diskBytes: 0 });
    return lockTenantUsage(manager, tenant);
  }

  private announce(unit: UnitOfWork, event: ReceivedEvent<ContainerRequested>, record: ContainerRecord): void {
    const { config } = record;
    unit.publish(desiredContainer(config.host, record.id), config);
    unit.publish(
      SUBJECTS.containerConfigured,
      {
        ...factOf(config),
        imageAsked: config.imageAsked,
        fallbackReason: config.fallbackReason,
        storageNode: config.storageNode,
        dataVolume: config.dataVolume,
        requestId: event.id,
      },
      { aggregate: `container:${record.id}` },
    );
    unit.publish(containerStatus(record.id), statusOf(record));
  }

  private refuse(
    unit: UnitOfWork,
    { id, attempt, data: { name, tenant } }: ReceivedEvent<ContainerRequested>,
    refusal: Refusal,
    variant = '',
  ): void {
    unit.refuse(
      SUBJECTS.containerRejected,
      { operation: 'create', reason: refusal.reason, message: refusal.message, name, tenant },
      variant === '' ? undefined : derivedId('refused', id, variant, String(attempt)),
    );
  }
}
