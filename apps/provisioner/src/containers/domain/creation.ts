/**
 * Decides one request for a container: the image, the hosts in order of preference, and the container on each.
 * Reserving a host and writing the container are left to the caller; the first host that still has room gets it.
 */
import { type ContainerRejected, type ContainerRequested } from '@plinth/contracts';
import { resolveImage, type ImageCatalogue, type ServableImage } from '../../images/domain/image-resolution.js';
import {
  type CandidateHost,
  choosePlacement,
  inDatacenter,
  noRoom,
  type PlacementPolicy,
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
}

export interface CreationRules {
  readonly defaults: Defaults;
  readonly quota: TenantQuota;
  readonly policy: PlacementPolicy;
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
      /** Hosts that have room, best first; never empty. */
      readonly hosts: readonly CandidateHost[];
      /** The container as it is on one of them: made for the host that is reserved, not for all. */
      readonly containerOn: (host: CandidateHost) => ContainerRecord;
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
  { defaults, quota, policy }: CreationRules,
  draws: CreationDraws,
): Creation {
  const hosts = inDatacenter(view.hosts, request.datacenter);
  if (hosts.length === 0) {
    const where = request.datacenter === undefined ? '' : ` in data centre ${request.datacenter}`;
    return { ok: false, reason: 'no-host', message: `no host is ready${where}; plinth hosts lists all hosts` };
  }
  const reachable = new Set(hosts.flatMap((host) => host.storageNodes));
  const resolution = resolveImage(request.image, request.strict ?? false, view.catalogue, reachable);
  if (!resolution.ok) return resolution;
  const { image, fallbackReason } = resolution;
  const resources = resourcesOf(request, defaults);
  const tenant = tenantOf(request);
  const overQuota = quotaRefusal(tenant, view.usage, resources, quota);
  if (overQuota) return { ok: false, reason: 'quota-exceeded', message: overQuota };
  const placement = choosePlacement(hosts, image.storageNodes, resources, policy, draws.hostDraw, draws.turn);
  if (!placement.ok) return placement;
  const containerOn = ({ host, storageNodes }: CandidateHost): ContainerRecord => {
    const nodes = image.storageNodes.filter((node) => storageNodes.includes(node));
    const decision = {
      containerId: draws.containerId,
      volumeId: draws.volumeId,
      name: request.name ?? `c-${draws.containerId.slice(0, 8)}`,
      tenant,
      host,
      storageNode: nodes[Math.floor(draws.nodeDraw * nodes.length)] ?? '',
      image,
      fallbackReason,
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
    };
  };
  const allTaken: CreationRefusal = { reason: 'no-capacity', message: noRoom(placement.hosts, resources) };
  return { ok: true, image, resources, hosts: placement.hosts, containerOn, allTaken };
}
