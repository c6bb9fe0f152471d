/** The configs of a move between hosts: one releases a container, the other starts it elsewhere. */
import {
  ContainerConfig,
  type ContainerReport,
  type GroupRules,
  type MoveReason,
  type PublishedPort,
  requestedLimits,
  type VolumeTakeover,
} from '@plinth/contracts';
import { type PortWish, type TakenPort, takenOf } from '../../network/domain/host-ports.js';
import { isHeldBack } from '../../network/domain/network-choice.js';
import { type Choice, chooseHosts, hostsOfKind } from '../../placement/domain/choice.js';
import type { Groups } from '../../placement/domain/groups.js';
import type { PlacementNeeds, PromotedImage } from '../../placement/domain/needs.js';
import type { CandidateHost, PlacementPolicyName } from '../../placement/domain/placement.js';
import type { ContainerRecord, Move } from '../../containers/domain/container-record.js';

/** A host's lease as its storage node last reported it. */
export interface KnownLease {
  readonly renewal: string;
  readonly ttlSeconds: number;
  readonly unrenewedMs: number;
}

/** After a lease has run out the host gets this long to end what it covered. */
const MARGIN_MS = 10_000;
/** Takeovers that a config remembers. */
const MOST_TAKEOVERS = 16;

/**
 * Whether the containers under the lease have ended by now. The host that takes the volume over checks the renewal once
 * more.
 */
export function hasRunOut({ ttlSeconds, unrenewedMs }: KnownLease): boolean {
  return unrenewedMs >= ttlSeconds * 1000 + MARGIN_MS;
}

type Policy = ContainerConfig['tenantPolicy'];

/** What is known of where a container may go. */
export interface MoveView {
  /** Where it is; undefined: its host is not known any more. */
  readonly datacenter: string | undefined;
  /** The ports that it asked for, and those of them that other containers have. */
  readonly wishes: readonly PortWish[];
  readonly taken: readonly TakenPort[];
  /** What its tenant may reach. */
  readonly tenantPolicy?: Policy;
  /** Absent: it is not in production any more. */
  readonly image?: PromotedImage | undefined;
  /** Without the container; absent: it names none. */
  readonly groups?: Groups | undefined;
}

/** What of a config decides where it may move. */
export type MovedConfig = Pick<
  ContainerConfig,
  'storageNode' | 'tenant' | 'address' | 'limits' | 'bandwidth' | 'egress' | 'hostUsers' | 'constraints'
> &
  GroupRules;

/** What a container that moves needs of its next host: its volume, its address, its ports, and what it asked for. */
export function needsOfMoved(
  config: MovedConfig,
  { datacenter, wishes, taken, tenantPolicy, image, groups }: MoveView,
): PlacementNeeds {
  const { storageNode, tenant, address, limits, bandwidth, egress, hostUsers, constraints } = config;
  return {
    isMove: true,
    resources: { memoryBytes: limits.memoryBytes, cpus: limits.cpus, containers: 1 },
    datacenter,
    constraints,
    network: address === undefined ? 'isolated' : 'container',
    isHeld: address !== undefined && isHeldBack(egress, tenantPolicy),
    diskBytes: limits.diskBytes,
    limits: requestedLimits(limits.io, address && bandwidth),
    users: hostUsers === true ? 'host-on-request' : 'own',
    storageNodes: [storageNode],
    ...(image?.storageNodes.includes(storageNode) === false && { isImageElsewhere: true }),
    ...(image?.architecture && { architecture: image.architecture }),
    groups: groups?.needsOf(tenant, config, { datacenter, constraints }),
    ports: takenOf(wishes, taken, tenant),
  };
}

/** @param others all hosts that get containers but its present one */
export function hostsForMoved(
  others: readonly CandidateHost[],
  needs: PlacementNeeds,
  policy: PlacementPolicyName,
  random: number,
  turn: number,
): Choice {
  const kind = hostsOfKind(others, needs);
  return chooseHosts(kind.hosts, kind.needs, policy, random, turn, kind.exclusions);
}

/** The config for the host that releases the container. */
export function givenUp(config: ContainerConfig, decidedAt: string): ContainerConfig {
  return Object.assign(new ContainerConfig(), config, {
    desired: 'released',
    generation: config.generation + 1,
    decidedAt,
  });
}

/**
 * The container as it is started on another host.
 * @param ports its ports there
 * @param takeover takeover of the volume from a lost host
 * @param tenantPolicy what its tenant may reach now: the host may know nothing of the tenant yet
 */
export function arrived(
  record: ContainerRecord,
  to: string,
  desired: Move['desired'],
  decidedAt: string,
  ports: readonly PublishedPort[],
  takeover?: VolumeTakeover,
  tenantPolicy?: Policy,
): ContainerRecord {
  const { config } = record;
  const generation = config.generation + 1;
  const takeovers = takeoversWith(config, takeover);
  return {
    ...record,
    config: Object.assign(new ContainerConfig(), config, {
      host: to,
      desired,
      generation,
      runGeneration: generation,
      decidedAt,
      ports: ports.length > 0 ? [...ports] : undefined,
      tenantPolicy,
      ...(takeovers.length > 0 && { takeovers }),
      ...(record.startedAt !== null && { volumeMade: true }),
    }),
    state: desired === 'running' ? 'scheduled' : 'stopped',
    moving: null,
    message: null,
    pid: null,
    // Report sequences are per host.
    reportSequence: 0,
    runningImage: null,
    health: null,
  };
}

function takeoversWith(config: ContainerConfig, takeover: VolumeTakeover | undefined): VolumeTakeover[] {
  const before = (config.takeovers ?? []).filter(({ from }) => from !== takeover?.from);
  return [...before, ...(takeover ? [takeover] : [])].slice(-MOST_TAKEOVERS);
}

/** A container to be removed with its data whose host is lost: another host deletes them. */
export function removedElsewhere(
  record: ContainerRecord,
  to: string,
  decidedAt: string,
  takeover: VolumeTakeover,
): ContainerRecord {
  const { config } = record;
  const generation = config.generation + 1;
  return {
    ...record,
    config: Object.assign(new ContainerConfig(), config, {
      host: to,
      generation,
      decidedAt,
      takeovers: takeoversWith(config, takeover),
    }),
    state: 'stopping',
    message: null,
    pid: null,
    reportSequence: 0,
    runningImage: null,
  };
}

/**
 * A container to be removed whose host is lost and whose data stay, or can't be deleted by another host: it counts as
 * removed at once.
 */
export function removedWithHost(record: ContainerRecord): ContainerRecord {
  const { host, storageNode, deleteData } = record.config;
  const later = `, and no other reaches ${storageNode}: its data are deleted when ${host} is back`;
  const message = `its host ${host} is lost${deleteData === true ? later : ''}`;
  return { ...record, state: 'removed', message, pid: null, runningImage: null, moving: null };
}

/** A container whose host is asked to release it. */
export function leaving(
  record: ContainerRecord,
  to: string,
  desired: Move['desired'],
  decidedAt: string,
  reason: MoveReason = 'drain',
): ContainerRecord {
  return {
    ...record,
    config: givenUp(record.config, decidedAt),
    state: record.state === 'running' || record.state === 'starting' ? 'stopping' : record.state,
    moving: { reason, to, desired, released: false },
  };
}

export type Relocation =
  /** The container is where it should be, is removed, or its host may still write to its volume. */
  | { readonly kind: 'none' }
  /** No host has the container; it takes the first that has room. */
  | { readonly kind: 'place' }
  | { readonly kind: 'remove'; readonly lease: KnownLease }
  | { readonly kind: 'move'; readonly desired: Move['desired']; readonly lease: KnownLease };

/** @param lease the host's on the container's volume; undefined: none is known, so it may still hold */
export function relocationOf(record: ContainerRecord, isHostLost: boolean, lease: KnownLease | undefined): Relocation {
  if (record.state === 'removed') return { kind: 'none' };
  if (record.moving?.released) return { kind: 'place' };
  if (!isHostLost || !lease || !hasRunOut(lease)) return { kind: 'none' };
  const desired = desiredState(record);
  return desired === undefined ? { kind: 'remove', lease } : { kind: 'move', desired, lease };
}

/** Reports of a host that it has nothing more to do with a container. */
const ENDS: readonly ContainerReport['kind'][] = ['removed', 'released'];

/**
 * The config for a host that reports a container of another host, or a removed one: it received an older config, late
 * or from a restored bus.
 * @param isStale the host has sent newer reports before, so for an existing container this may be an old report
 * @returns undefined when no config has to be published
 */
export function correction(
  record: ContainerRecord,
  report: ContainerReport,
  writer: string,
  isStale: boolean,
  decidedAt: string,
): ContainerConfig | undefined {
  const { config, state } = record;
  if (
    writer !== report.host ||
    ENDS.includes(report.kind) ||
    (state !== 'removed' && (isStale || config.host === writer))
  )
    return undefined;
  const desired = state === 'removed' ? 'removed' : 'released';
  // The generation is above the one that the host has.
  const generation = Math.max(config.generation, report.generation + 1);
  return Object.assign(new ContainerConfig(), config, { host: writer, desired, generation, decidedAt });
}

/** The desired state, also during a move; undefined: the container is to be removed. */
export function desiredState({ config, moving }: ContainerRecord): Move['desired'] | undefined {
  if (moving) return moving.desired;
  return config.desired === 'running' || config.desired === 'stopped' ? config.desired : undefined;
}
