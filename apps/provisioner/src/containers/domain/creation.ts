/**
 * Decides one request for a container: the image, the hosts in order of preference, and the container on each.
 * Reserving a host and writing the container are left to the caller; the first host that still has room gets it.
 */
import {
  type ContainerNetwork,
  type ContainerRejected,
  type ContainerRequested,
  formatImageRef,
  type PlacementRecord,
  type PublishedPort,
  requestedLimits,
  type TenantPolicy,
} from '@plinth/contracts';
import {
  resolveImage,
  type ImageCatalogue,
  type ImageReach,
  type ServableImage,
  type StorageSpace,
} from '../../images/domain/image-resolution.js';
import type { NetworkIdentity } from '../../network/domain/address-pool.js';
import {
  type PortHolder,
  type PortWish,
  portWishes,
  takenOf,
  type TakenPort,
} from '../../network/domain/host-ports.js';
import { isHeldBack, networkOn, type WantedNetwork, wantedNetwork } from '../../network/domain/network-choice.js';
import { chooseHosts, type HostsOfKind, hostsOfKind } from '../../placement/domain/choice.js';
import type { Exclusions } from '../../placement/domain/filters.js';
import type { Groups } from '../../placement/domain/groups.js';
import type { HostNames } from '../../placement/domain/host-bits.js';
import { isUsable, type NeededSpace, type PlacementNeeds } from '../../placement/domain/needs.js';
import type { CandidateHost, PlacementPolicyName, Resources } from '../../placement/domain/placement.js';
import { placementRecord } from '../../placement/domain/placement-record.js';
import { noRoom, refusalOf } from '../../placement/domain/refusals.js';
import type { RankedHost } from '../../placement/domain/scorers.js';
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
  /** At least those that the request names; absent: it names none. */
  readonly groups?: Groups | undefined;
  /** Hosts on which containers of an image run, `name@version`; absent: not known. */
  readonly warm?: ((image: string) => ReadonlySet<string> | undefined) | undefined;
  /** Hosts with an image in stores of their own; absent: not known. */
  readonly held?: ((image: string) => HostNames | undefined) | undefined;
  /** Hosts that are known to get containers, when `hosts` are some of them. */
  readonly hostsKnown?: number | undefined;
}

/** How hosts were decided on; absent where the request is refused before that. */
export interface CreationReasons {
  readonly needs: PlacementNeeds;
  readonly exclusions: Exclusions;
  readonly ranked?: readonly RankedHost[];
}

export interface CreationRules {
  readonly defaults: Defaults;
  readonly quota: TenantQuota;
  readonly policy: PlacementPolicyName;
  /** Of a request that names none. */
  readonly network: WantedNetwork;
  /** Bytes that are to be free on a storage node that gets a volume. */
  readonly storageReserve: number;
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
      /** Another image, or whose users it has, may be chosen where there are other hosts. */
      readonly dependsOnHosts: boolean;
      /** Hosts that have room, best first; never empty. */
      readonly hosts: readonly CandidateHost[];
      /** The container as the holder of what is reserved for it. */
      readonly holder: PortHolder;
      /** Of its tenant. */
      readonly group: string | undefined;
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
      /** What is kept of the decision. */
      readonly placementOn: (host: CandidateHost) => PlacementRecord;
      readonly why: CreationReasons;
      /** The answer when no candidate's host has room any more. */
      readonly allTaken: () => CreationRefusal;
    }
  | ({ readonly ok: false; readonly why?: CreationReasons } & CreationRefusal);

export function tenantOf(request: ContainerRequested): string {
  return request.tenant ?? DEFAULT_TENANT;
}

/** What the request needs of a host, before its image is chosen. */
export function needsOf(
  request: ContainerRequested,
  { catalogue, portsTaken, tenantPolicy, groups }: Omit<CreationView, 'hosts' | 'usage'>,
  { defaults, network, storageReserve }: CreationRules,
): PlacementNeeds {
  const { datacenter, constraints, limits, bandwidth, hostUsers, ports = [] } = request;
  return {
    resources: resourcesOf(request, defaults),
    datacenter,
    constraints,
    network: wantedNetwork(request, network),
    isHeld: isHeldBack(request.egress, tenantPolicy),
    diskBytes: limits?.diskBytes,
    limits: requestedLimits(limits?.io, bandwidth),
    users: hostUsers === true ? 'host-on-request' : 'own',
    space: catalogue.storage && spaceOf(catalogue.storage, Math.max(limits?.diskBytes ?? 0, storageReserve)),
    groups: groups?.needsOf(tenantOf(request), request, { datacenter, constraints }),
    ports: takenOf(portWishes(ports), portsTaken, tenantOf(request)),
  };
}

export function planCreation(
  request: ContainerRequested,
  view: CreationView,
  rules: CreationRules,
  draws: CreationDraws,
): Creation {
  const { defaults, quota, policy } = rules;
  const kind = hostsOfKind(view.hosts, needsOf(request, view, rules));
  if (kind.hosts.length === 0) return { ok: false, ...refusalOf(kind.exclusions, kind.needs), why: kind };
  const resolution = resolveImage(request.image, request.strict ?? false, view.catalogue, reachOf(kind));
  if (!resolution.ok) return { ...resolution, why: kind };
  const { image, fallbackReason } = resolution;
  const { resources } = kind.needs;
  const tenant = tenantOf(request);
  const overQuota = quotaRefusal(tenant, view.usage, { ...resources, diskBytes: request.limits?.diskBytes }, quota);
  if (overQuota) return { ok: false, reason: 'quota-exceeded', message: overQuota, why: kind };
  const needs = {
    ...kind.needs,
    storageNodes: image.storageNodes,
    image: formatImageRef(image),
    architecture: image.architecture,
    warm: view.warm?.(formatImageRef(image)),
    held: view.held?.(formatImageRef(image)),
  };
  const choice = chooseHosts(kind.hosts, needs, policy, draws.hostDraw, draws.turn, kind.exclusions);
  const { exclusions } = choice;
  if (!choice.ok) return { ok: false, reason: choice.reason, message: choice.message, why: { needs, exclusions } };
  const { ranked } = choice;
  const hosts = ranked.map(({ host }) => host);
  const holder = { containerId: draws.containerId, tenant, name: request.name ?? `c-${draws.containerId.slice(0, 8)}` };
  const networkOf = (candidate: CandidateHost): ContainerNetwork => networkOn(candidate, needs.network);
  const hasAddressOn = (candidate: CandidateHost): boolean => networkOf(candidate) === 'container';
  const containerOn = (
    candidate: CandidateHost,
    ports: readonly PublishedPort[],
    identity: NetworkIdentity | undefined,
  ): ContainerRecord => {
    const { host, storageNodes } = candidate;
    const isNode = (node: string): boolean => storageNodes.includes(node) && isUsable(candidate, needs, node);
    const nodes = [...new Set([...image.storageNodes, ...storageNodes])].filter(isNode);
    const decision = {
      ...holder,
      volumeId: draws.volumeId,
      host,
      storageNode: drawnNode(nodes, needs.space, draws.nodeDraw),
      image,
      fallbackReason,
      network: networkOf(candidate),
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
  const allTaken = (): CreationRefusal => ({ reason: 'no-capacity', message: noRoom(hosts, resources) });
  const ports = portWishes(request.ports ?? []);
  const isStandIn = view.catalogue.defaults[image.name] !== image.version;
  const dependsOnReach = fallbackReason !== undefined && (fallbackReason === 'not-distributed' || isStandIn);
  // It gets the host's users by its policy only where no host gives it users of its own.
  const dependsOnHosts = dependsOnReach || needs.users === 'host-by-policy';
  const chosen = { image, resources, dependsOnHosts, hosts, holder, group: request.group, ports };
  const lookedAt = view.hosts.length;
  const decided = { policy, ranked, exclusions, lookedAt, hosts: view.hostsKnown ?? lookedAt };
  const placementOn = ({ host }: CandidateHost): PlacementRecord => placementRecord(host, draws.decidedAt, decided);
  const why = { needs, exclusions, ranked };
  return { ok: true, ...chosen, hasAddressOn, containerOn, placementOn, why, allTaken };
}

function spaceOf({ free, most, least }: StorageSpace, bytes: number): NeededSpace {
  return { bytes, free, most, isShort: least < bytes };
}

/** Each as often as it has free space beside the others. @param draw at least 0, below 1 */
function drawnNode(nodes: readonly string[], space: NeededSpace | undefined, draw: number): string {
  const [only = ''] = nodes;
  if (nodes.length < 2) return only;
  const free = nodes.map((node) => (space === undefined ? 1 : (space.free[node] ?? 0)));
  let left = draw * free.reduce((sum, bytes) => sum + bytes, 0);
  for (const [index, bytes] of free.entries()) {
    left -= bytes;
    if (left < 0) return nodes[index] ?? '';
  }
  return nodes.at(-1) ?? '';
}

/** Storage nodes that the container's volume may be on, of hosts that have the images of these nodes. */
export function reachOf({ hosts, needs }: Pick<HostsOfKind, 'hosts' | 'needs'>): ImageReach {
  const nodes = new Set<string>();
  let isAnywhere = false;
  for (const host of hosts)
    for (const node of host.storageNodes)
      if (isUsable(host, needs, node)) {
        if (host.hasStore) isAnywhere = true;
        else nodes.add(node);
      }
  return { nodes, isAnywhere };
}
