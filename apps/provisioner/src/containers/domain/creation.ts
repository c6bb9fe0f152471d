/**
 * Decides one request for a container: the image, the hosts in order of preference, and the container on each.
 * Reserving a host and writing the container are left to the caller; the first host that still has room gets it.
 */
import type { ContainerRejected, ContainerRequested, PublishedPort, TenantPolicy } from '@plinth/contracts';
import { resolveImage, type ImageCatalogue, type ServableImage } from '../../images/domain/image-resolution.js';
import type { NetworkIdentity } from '../../network/domain/address-pool.js';
import {
  type PortHolder,
  portsTaken,
  type PortWish,
  portWishes,
  type TakenPort,
  withFreePorts,
} from '../../network/domain/host-ports.js';
import {
  isHeldBack,
  networkOn,
  notOffered,
  offering,
  type WantedNetwork,
  wantedNetwork,
} from '../../network/domain/network-choice.js';
import { offeringUsers, usersNotOffered } from '../../placement/domain/container-users.js';
import {
  type CandidateHost,
  choosePlacement,
  diskLimitNotOffered,
  holdingDisk,
  inDatacenter,
  noRoom,
  type PlacementPolicy,
  reaching,
  type Resources,
} from '../../placement/domain/placement.js';
import { quotaRefusal, type TenantQuota, type TenantUsage } from '../../placement/domain/tenant-quota.js';
import { DEFAULT_TENANT, type Defaults, newContainerConfig, resourcesOf } from './container-config.js';
import type { ContainerRecord } from './container-record.js';

export type CreationRefusal = Pick<ContainerRejected, 'reason' | 'message'>;

/** The state on which a request is decided. */
export interface CreationView {
  /** Ready hosts. */
  readonly hosts: readonly CandidateHost[];
  readonly catalogue: ImageCatalogue;
  /** The tenant's usage without this container. */
  readonly usage: TenantUsage;
  /** Host ports that are asked for, where other containers have them. */
  readonly portsTaken: readonly TakenPort[];
  /** What all containers of the tenant may reach; absent: it was never set. */
  readonly tenantPolicy?: TenantPolicy | undefined;
}

export interface CreationRules {
  readonly defaults: Defaults;
  readonly quota: TenantQuota;
  readonly policy: PlacementPolicy;
  /** Of a request that names none. */
  readonly network: WantedNetwork;
}

/** Time, ids and random numbers of one decision. */
export interface CreationDraws {
  /** ISO 8601. */
  readonly requestedAt: string;
  readonly decidedAt: string;
  /** 128 bits, hex. */
  readonly containerId: string;
  readonly volumeId: string;
  /** Random, at least 0, below 1: one for the host, one for its storage node. */
  readonly hostDraw: number;
  readonly nodeDraw: number;
  /** Counts the placements of this process. */
  readonly turn: number;
}

export type Creation =
  | {
      readonly ok: true;
      readonly image: ServableImage;
      readonly resources: Resources;
      /** Another image may be chosen where a host reaches other storage nodes. */
      readonly dependsOnReach: boolean;
      /** Hosts that have room, best first; never empty. */
      readonly hosts: readonly CandidateHost[];
      /** The container as the holder of what is reserved for it. */
      readonly holder: PortHolder;
      readonly ports: readonly PortWish[];
      /** Whether a container on this host has an address of its own. */
      readonly hasAddressOn: (host: CandidateHost) => boolean;
      /** The container as it is on one of them: made for the host that is reserved, not for all. */
      readonly containerOn: (
        host: CandidateHost,
        ports: readonly PublishedPort[],
        /** Not used on a host where it has no address. */
        identity: NetworkIdentity | undefined,
      ) => ContainerRecord;
      /** The answer when no candidate's host has room any more. */
      readonly allTaken: CreationRefusal;
    }
  | ({ readonly ok: false } & CreationRefusal);

export function tenantOf(request: ContainerRequested): string {
  return request.tenant ?? DEFAULT_TENANT;
}

export function planCreation(
  request: ContainerRequested,
  view: CreationView,
  { defaults, quota, policy, network }: CreationRules,
  draws: CreationDraws,
): Creation {
  const ready = inDatacenter(view.hosts, request.datacenter);
  if (ready.length === 0) {
    const where = request.datacenter === undefined ? '' : ` in data centre ${request.datacenter}`;
    return { ok: false, reason: 'no-host', message: `no host is ready${where}; plinth hosts lists all hosts` };
  }
  const wanted = wantedNetwork(request, network);
  const isHeld = isHeldBack(request.egress, view.tenantPolicy);
  const networked = offering(ready, wanted, isHeld);
  if (networked.length === 0)
    return { ok: false, reason: 'network-not-offered', message: notOffered(ready.length, wanted, isHeld) };
  const holding = holdingDisk(networked, request.limits?.diskBytes);
  if (holding.length === 0)
    return { ok: false, reason: 'disk-limit-not-offered', message: diskLimitNotOffered(networked.length) };
  const asksForHostUsers = request.hostUsers === true;
  const hosts = offeringUsers(holding, asksForHostUsers);
  if (hosts.length === 0) {
    const reason = asksForHostUsers ? 'host-users-not-offered' : 'own-users-not-offered';
    return { ok: false, reason, message: usersNotOffered(holding.length, asksForHostUsers) };
  }
  const reachable = new Set(hosts.flatMap((host) => host.storageNodes));
  const resolution = resolveImage(request.image, request.strict ?? false, view.catalogue, reachable);
  if (!resolution.ok) return resolution;
  const { image, fallbackReason } = resolution;
  const resources = resourcesOf(request, defaults);
  const tenant = tenantOf(request);
  const overQuota = quotaRefusal(tenant, view.usage, { ...resources, diskBytes: request.limits?.diskBytes }, quota);
  if (overQuota) return { ok: false, reason: 'quota-exceeded', message: overQuota };
  const near = reaching(hosts, image.storageNodes);
  const open = withFreePorts(near, view.portsTaken);
  if (open.length === 0 && near.length > 0) {
    return { ok: false, reason: 'port-taken', message: portsTaken(tenant, near, view.portsTaken) };
  }
  const placement = choosePlacement(open, image.storageNodes, resources, policy, draws.hostDraw, draws.turn);
  if (!placement.ok) {
    const others = near.length - open.length;
    const more = others === 0 ? '' : `; on ${others} more a host port that was asked for is taken`;
    return { ...placement, message: `${placement.message}${more}` };
  }
  const holder = { containerId: draws.containerId, tenant, name: request.name ?? `c-${draws.containerId.slice(0, 8)}` };
  const hasAddressOn = (candidate: CandidateHost): boolean => networkOn(candidate, wanted) === 'container';
  const containerOn = (
    candidate: CandidateHost,
    ports: readonly PublishedPort[],
    identity: NetworkIdentity | undefined,
  ): ContainerRecord => {
    const { host, storageNodes } = candidate;
    const nodes = image.storageNodes.filter((node) => storageNodes.includes(node));
    const decision = {
      ...holder,
      volumeId: draws.volumeId,
      host,
      storageNode: nodes[Math.floor(draws.nodeDraw * nodes.length)] ?? '',
      image,
      fallbackReason,
      network: networkOn(candidate, wanted),
      ...(hasAddressOn(candidate) && { identity }),
      ports,
      ...(hasAddressOn(candidate) && { tenantPolicy: view.tenantPolicy }),
      requestedAt: draws.requestedAt,
      decidedAt: draws.decidedAt,
    };
    return {
      id: draws.containerId,
      state: 'scheduled',
      config: newContainerConfig(request, decision, defaults),
      pid: null,
      restarts: 0,
      exitCode: null,
      message: null,
      reportSequence: 0,
      requestedAt: draws.requestedAt,
      startedAt: null,
      knownGood: [],
      update: null,
      runningImage: null,
      moving: null,
      health: null,
      failedChecks: [],
      limitsReached: [],
      addresses: null,
    };
  };
  const allTaken: CreationRefusal = { reason: 'no-capacity', message: noRoom(placement.hosts, resources) };
  const ports = portWishes(request.ports ?? []);
  const isStandIn = view.catalogue.defaults[image.name] !== image.version;
  const dependsOnReach = fallbackReason !== undefined && (fallbackReason === 'not-distributed' || isStandIn);
  const chosen = { image, resources, dependsOnReach, hosts: placement.hosts, holder, ports };
  return { ok: true, ...chosen, hasAddressOn, containerOn, allTaken };
}
