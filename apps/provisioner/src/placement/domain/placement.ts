/** Hosts as they are placed on, and the names of the policies. */
import type { HostLimit, HostUsers, Labels } from '@plinth/contracts';

export const PLACEMENT_POLICIES = ['least-loaded', 'round-robin', 'random'] as const;
export type PlacementPolicyName = (typeof PLACEMENT_POLICIES)[number];

export interface Resources {
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly containers: number;
}

export interface CandidateHost {
  readonly host: string;
  readonly datacenter: string;
  readonly storageNodes: readonly string[];
  /** Resources that may be assigned; cores already multiplied by the overcommit. */
  readonly capacity: Resources;
  readonly allocated: Resources;
  /** Load average per core, as last reported. */
  readonly loadPerCore: number;
  /** Whether containers there can have an address of their own. */
  readonly network: boolean;
  /** Whether it holds containers to their egress policies; plugins of CNI do not. */
  readonly egressPolicies: boolean;
  /** Storage nodes on which it can hold a data volume to its limit. */
  readonly diskLimits: readonly string[];
  /** Limits that it can't hold, as far as is known. */
  readonly missingLimits: readonly HostLimit[];
  /** Storage nodes on which containers have users of their own there; null: not known. */
  readonly ownUsers: readonly string[] | null;
  /** When they have the host's; null: not known. */
  readonly hostUsers: HostUsers | null;
  /** Whether it has a store of its own, to which it fetches images; without one it needs a storage node's. */
  readonly hasStore: boolean;
  /** In effect; `host` and `datacenter` are not among them. */
  readonly labels: Labels;
}
