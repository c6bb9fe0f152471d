/**
 * One request → one container, in the caller's transaction: load, decide (domain/creation.ts), reserve, write,
 * publish.
 */
import { Inject, Injectable } from '@nestjs/common';
import {
  containerStatus,
  type ContainerRequested,
  desiredContainer,
  MAX_TENANT_NUMBER,
  parseImageRef,
  type PlacementRecord,
  type PublishedPort,
  SUBJECTS,
} from '@plinth/contracts';
import { claimEvent, derivedId, newId, type ReceivedEvent, type UnitOfWork } from '@plinth/service-kit';
import { ProvisionerConfig } from '../config.js';
import { returnNetwork, takeIdentity } from '../network/address.store.js';
import { poolSize } from '../network/domain/address-pool.js';
import { parsePortRange, type PortRange, portWishes } from '../network/domain/host-ports.js';
import { type PlaceReservation, portsTakenByOthers, reservePlace } from '../network/host-port.store.js';
import { tenantPolicy } from '../network/tenant-egress.store.js';
import { Groups, groupsOf } from '../placement/domain/groups.js';
import type { CandidateHost } from '../placement/domain/placement.js';
import { Places } from '../placement/domain/places.js';
import type { TenantUsage } from '../placement/domain/tenant-quota.js';
import { HostDirectory } from '../placement/host-directory.js';
import { groupMembers, lockGroups } from '../placement/group.store.js';
import { loadPlacementView, release } from '../placement/placement.store.js';
import { lockTenantUsage } from '../placement/tenant.store.js';
import { findRequest, insertContainer } from './container.store.js';
import { nameTaken, type Plan } from './domain/batch-plan.js';
import { type ContainerRecord, factOf, statusOf } from './domain/container-record.js';
import {
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
  readonly rules: CreationRules;
  readonly hasQuota: boolean;
  readonly portRange: PortRange;

  constructor(
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(HostDirectory) private readonly directory: HostDirectory,
  ) {
    const quota = {
      containers: config.PLINTH_TENANT_MAX_CONTAINERS,
      memoryBytes: config.PLINTH_TENANT_MAX_MEMORY_BYTES,
      diskBytes: config.PLINTH_TENANT_MAX_DISK_BYTES,
    };
    this.hasQuota = Object.values(quota).some((limit) => limit !== undefined);
    const range = parsePortRange(config.PLINTH_PORT_RANGE);
    if (!range) throw new Error(`${config.PLINTH_PORT_RANGE} is no range of ports`);
    this.portRange = range;
    this.rules = {
      network: config.PLINTH_DEFAULT_NETWORK,
      storageReserve: config.PLINTH_STORAGE_RESERVE_BYTES,
      quota,
      policy: config.PLINTH_PLACEMENT,
      defaults: {
        memoryBytes: config.PLINTH_DEFAULT_MEMORY_BYTES,
        cpus: config.PLINTH_DEFAULT_CPUS,
        pids: config.PLINTH_DEFAULT_PIDS,
        openFiles: config.PLINTH_DEFAULT_OPEN_FILES,
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
    if (known && known.digest !== requestDigest) refuseReused(unit, event, requestDigest);
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
      const made = await this.make(unit, plan);
      // An image that was withdrawn after the view was loaded is never promoted again, and a port that was taken
      // meanwhile is in the next view: the next plan has another, or none.
      if (made === 'changed') continue;
      if ('reason' in made) return made;
      const { record, placement } = made;
      if (await insertContainer(unit.db, record, event.id, digest, placement)) {
        publishCreated(unit, event.id, record);
        return undefined;
      }
      const { config } = record;
      await release(unit.db, config.host, plan.resources);
      if (config.address) await returnNetwork(unit.db, record.id);
      return nameTaken(config.tenant, config.name);
    }
  }

  /** Takes an address, if one of the hosts gives containers one, and the first host that has room. */
  private async make(unit: UnitOfWork, plan: Plan): Promise<Made | CreationRefusal | 'changed'> {
    // The address before the host: the lock of the host's row is the one that placements wait for.
    const identity = plan.hosts.some(plan.hasAddressOn)
      ? await takeIdentity(unit.db, plan.holder.containerId, plan.holder.tenant)
      : undefined;
    if (typeof identity === 'string') return this.exhausted(identity);
    const found = await this.reserveFirst(unit, plan);
    const made = typeof found === 'string' ? undefined : plan.containerOn(found.host, found.ports, identity);
    if (identity && !made?.config.address) await returnNetwork(unit.db, plan.holder.containerId);
    if (made && typeof found !== 'string') return { record: made, placement: plan.placementOn(found.host) };
    if (found === 'no-room') return plan.allTaken();
    if (found === 'ports-exhausted') return this.exhausted(found);
    return 'changed';
  }

  /** @returns the first host that has room and the ports: they are reserved */
  private async reserveFirst(unit: UnitOfWork, { hosts, image, resources, ports, holder }: Plan): Promise<Found> {
    const { PLINTH_CPU_OVERCOMMIT: overcommit } = this.config;
    let failure: Extract<PlaceReservation, { ok: false }>['reason'] = 'no-room';
    for (const host of hosts) {
      const place = await reservePlace(unit.db, host.host, image, resources, overcommit, ports, holder, this.portRange);
      if (place.ok) return { host, ports: place.ports };
      if (place.reason === 'image-withdrawn') return place.reason;
      if (place.reason !== 'no-room') failure = place.reason;
    }
    return failure;
  }

  /** Locks the tenant's usage, if there is a quota, and groups until the transaction ends: no other request adds to them. */
  private async view(unit: UnitOfWork, request: ContainerRequested): Promise<CreationView> {
    const { PLINTH_CPU_OVERCOMMIT: overcommit, PLINTH_HOST_LOST_SECONDS: lostSeconds } = this.config;
    const asked = request.image === undefined ? undefined : parseImageRef(request.image);
    const { hosts, catalogue } = await loadPlacementView(unit.db, asked?.name, overcommit, lostSeconds);
    const portsTaken = await portsTakenByOthers(unit.db, portWishes(request.ports ?? []));
    const tenant = tenantOf(request);
    const usage = this.hasQuota ? await lockTenantUsage(unit.db, tenant) : NO_USAGE;
    const named = groupsOf(tenant, request);
    await lockGroups(unit.db, named);
    const groups = named.length > 0 ? new Groups(await groupMembers(unit.db, named), new Places(hosts)) : undefined;
    const { warm, held } = this.directory;
    const policy = await tenantPolicy(unit.db, tenant);
    return { hosts, catalogue, portsTaken, usage, groups, warm, held, tenantPolicy: policy };
  }

  private exhausted(
    reason: 'address-pool-exhausted' | 'tenant-numbers-exhausted' | 'ports-exhausted',
  ): CreationRefusal {
    const { PLINTH_ADDRESS_POOL: pool, PLINTH_PORT_RANGE: range } = this.config;
    const instead = {
      'address-pool-exhausted':
        `all ${poolSize(pool)} addresses of the pool ${pool} are given out: remove containers, give the provisioners ` +
        'a larger PLINTH_ADDRESS_POOL that has this one in it, or ask for the network isolated',
      'tenant-numbers-exhausted': `all ${MAX_TENANT_NUMBER} numbers of tenants with a network are given out; ask for the network isolated`,
      'ports-exhausted':
        `on no host that has room enough ports of ${range} are free: ask for a host port outside of it, publish ` +
        'fewer ports, or give the provisioners a larger PLINTH_PORT_RANGE',
    };
    return { reason, message: instead[reason] };
  }

  /** For one decision about a request. */
  draws(event: Pick<Request, 'storedAtMs'>): CreationDraws {
    return {
      requestedAt: new Date(event.storedAtMs).toISOString(),
      decidedAt: new Date().toISOString(),
      containerId: newId(),
      volumeId: newId(),
      hostDraw: Math.random(),
      nodeDraw: Math.random(),
      turn: this.turn++,
    };
  }
}

interface Made {
  readonly record: ContainerRecord;
  readonly placement: PlacementRecord;
}

type Found =
  | { readonly host: CandidateHost; readonly ports: readonly PublishedPort[] }
  | Extract<PlaceReservation, { ok: false }>['reason'];

const ID_REUSED: CreationRefusal = {
  reason: 'request-id-reused',
  message: 'another request has this id already; use a new id',
};
const UNDECIDED: CreationRefusal = {
  reason: 'internal-error',
  message: 'the request could not be decided; see the log of the provisioner for the reason',
};

/** Another request had the id before. */
export function refuseReused(unit: UnitOfWork, event: Request, requestDigest: string): void {
  refuse(unit, event, ID_REUSED, requestDigest);
}

export function publishCreated(unit: UnitOfWork, requestId: string, record: ContainerRecord): void {
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
export function refuse(unit: UnitOfWork, { id, attempt, data }: Request, refusal: CreationRefusal, variant = ''): void {
  const { reason, message } = refusal;
  unit.refuse(
    SUBJECTS.containerRejected,
    { operation: 'create', reason, message, name: data.name, tenant: data.tenant },
    variant === '' ? undefined : derivedId('refused', id, variant, String(attempt)),
  );
}
