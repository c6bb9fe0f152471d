/** What a container needs of its host, the same for a request, a batch of them, a drain and the loss of a host. */
import type { ContainerNetwork, HostLimit, LabelConstraint } from '@plinth/contracts';
import type { GroupNeeds } from './groups.js';
import type { HostNames } from './host-bits.js';
import type { CandidateHost, Resources } from './placement.js';

/**
 * Whose users the container has. `own`: where none of the hosts gives it some, it gets the host's where the host's
 * policy does so by itself (`host-by-policy`).
 */
export type WantedUsers = 'own' | 'host-on-request' | 'host-by-policy';

export interface PlacementNeeds {
  /** It leaves a host, and has a volume. */
  readonly isMove?: boolean;
  readonly resources: Resources;
  readonly datacenter?: string | undefined;
  /** Absent: any labels will do. */
  readonly constraints?: readonly LabelConstraint[] | undefined;
  /** `auto`: `container` on hosts that offer it, else `isolated`. */
  readonly network: 'auto' | ContainerNetwork;
  /** Its own egress policy or its tenant's keeps it from something. */
  readonly isHeld: boolean;
  /** Limit of its data volume; absent: none. */
  readonly diskBytes?: number | undefined;
  /** That not every container has; absent: none. */
  readonly limits?: readonly HostLimit[] | undefined;
  readonly users: WantedUsers;
  /**
   * Those that have its image, for hosts without a store of their own; of a container that moves, the one that has its
   * volume. Absent: the image is not chosen yet.
   */
  readonly storageNodes?: readonly string[] | undefined;
  /** It moves, and the storage node with its volume does not have its image: only a store of a host's own does. */
  readonly isImageElsewhere?: boolean;
  /** `name@version`; absent: not chosen yet, or it moves. */
  readonly image?: string | undefined;
  /** Of its image; absent: not known. */
  readonly architecture?: string | undefined;
  /** Hosts on which containers of its image run; absent: not known. */
  readonly warm?: ReadonlySet<string> | undefined;
  /** Hosts with its image in stores of their own; absent: none is known. */
  readonly held?: HostNames | undefined;
  /** Absent: its volume is there already, or it is not known how much is free. */
  readonly space?: NeededSpace | undefined;
  /** Absent: it has no rules of groups. */
  readonly groups?: GroupNeeds | undefined;
  /** Absent: it asks for no host port that is taken anywhere. */
  readonly ports?: TakenPorts | undefined;
}

/** An image that is in production. */
export interface PromotedImage {
  /** Debian's name of it; null: not known. */
  readonly architecture: string | null;
  /** Those that have it whole, by their last reports. */
  readonly storageNodes: readonly string[];
}

export interface NeededSpace {
  /** That have to be free on its storage node. */
  readonly bytes: number;
  /** By storage node; absent: not known. */
  readonly free: Readonly<Record<string, number>>;
  /** What the emptiest node has. */
  readonly most: number;
  /** Some node has less than that. */
  readonly isShort: boolean;
}

export interface TakenPorts {
  /** Hosts on which a port that it asks for is taken. */
  readonly on: ReadonlySet<string>;
  /** Why none of these hosts is left. */
  readonly message: (hosts: readonly CandidateHost[]) => string;
}

export function hasSpace({ space }: PlacementNeeds, node: string): boolean {
  return !space?.isShort || (space.free[node] ?? Number.POSITIVE_INFINITY) >= space.bytes;
}

/** Whether the container's volume, where the host has no store of its own also its image, can be on this node. */
export function hasImageFor({ hasStore }: CandidateHost, needs: PlacementNeeds, node: string): boolean {
  if (hasStore && needs.isMove !== true) return true;
  if (!hasStore && needs.isImageElsewhere === true) return false;
  return needs.storageNodes === undefined || needs.storageNodes.includes(node);
}

/** Whether the container's volume may be on this storage node, which the host reaches. */
export function isUsable(host: CandidateHost, needs: PlacementNeeds, node: string): boolean {
  const { diskLimits, ownUsers } = host;
  return (
    hasImageFor(host, needs, node) &&
    hasSpace(needs, node) &&
    (needs.diskBytes === undefined || diskLimits.includes(node)) &&
    (needs.users !== 'own' || ownUsers === null || ownUsers.includes(node))
  );
}
