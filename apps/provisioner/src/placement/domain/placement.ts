/**
 * Which host gets a container: filters first, each with a reason when it leaves none; then one of three policies orders
 * the rest.
 */

import type { HostUsers } from '@plinth/contracts';

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
  /** Storage nodes on which containers have users of their own there; null: not known. */
  readonly ownUsers: readonly string[] | null;
  /** When they have the host's; null: not known. */
  readonly hostUsers: HostUsers | null;
}

/** Orders hosts, best first; the caller takes the first that still has room when it reserves. */
export interface PlacementPolicy {
  readonly name: PlacementPolicyName;
  /** @param random 0 to 1 @param turn counts the placements of this process */
  order(hosts: readonly CandidateHost[], random: number, turn: number): readonly CandidateHost[];
}

export type Placement =
  | { readonly ok: true; readonly hosts: readonly CandidateHost[] }
  | { readonly ok: false; readonly reason: 'no-host' | 'no-capacity'; readonly message: string };

const rotated = (hosts: readonly CandidateHost[], by: number): readonly CandidateHost[] => {
  const sorted = [...hosts].sort((a, b) => (a.host < b.host ? -1 : 1));
  const start = sorted.length === 0 ? 0 : by % sorted.length;
  return [...sorted.slice(start), ...sorted.slice(0, start)];
};

/** Share of the scarcest resource that is assigned; reported load breaks near ties. */
export function pressure(host: CandidateHost): number {
  const share = Math.max(
    host.allocated.memoryBytes / Math.max(host.capacity.memoryBytes, 1),
    host.allocated.cpus / Math.max(host.capacity.cpus, 0.01),
    host.allocated.containers / Math.max(host.capacity.containers, 1),
  );
  return share + 0.1 * Math.min(host.loadPerCore, 4);
}

const POLICIES: Readonly<Record<PlacementPolicyName, PlacementPolicy>> = {
  'least-loaded': {
    name: 'least-loaded',
    order: (hosts) => [...hosts].sort((a, b) => pressure(a) - pressure(b) || (a.host < b.host ? -1 : 1)),
  },
  'round-robin': { name: 'round-robin', order: (hosts, _random, turn) => rotated(hosts, turn) },
  random: { name: 'random', order: (hosts, random) => rotated(hosts, Math.floor(random * hosts.length)) },
};

export function placementPolicy(name: PlacementPolicyName): PlacementPolicy {
  return POLICIES[name];
}

export function inDatacenter(
  hosts: readonly CandidateHost[],
  datacenter: string | undefined,
): readonly CandidateHost[] {
  return datacenter === undefined ? hosts : hosts.filter((host) => host.datacenter === datacenter);
}

export function reaching(hosts: readonly CandidateHost[], storageNodes: readonly string[]): readonly CandidateHost[] {
  return hosts.filter((host) => host.storageNodes.some((node) => storageNodes.includes(node)));
}

/** With a limit of the data volume: hosts that can hold it, each with the storage nodes on which it can. */
export function holdingDisk(hosts: readonly CandidateHost[], diskBytes: number | undefined): readonly CandidateHost[] {
  if (diskBytes === undefined) return hosts;
  return hosts
    .map((host) => ({ ...host, storageNodes: host.storageNodes.filter((node) => host.diskLimits.includes(node)) }))
    .filter(({ storageNodes }) => storageNodes.length > 0);
}

export function diskLimitNotOffered(hosts: number): string {
  const none = hosts === 1 ? 'the one ready host can not hold' : `none of the ${hosts} ready hosts can hold`;
  return (
    `${none} a data volume to a limit, because the file system of its storage does not do it: leave the limit of the ` +
    'disk out, or use btrfs, ext4 or xfs with quotas; plinth hosts shows who can'
  );
}

export function withRoom(hosts: readonly CandidateHost[], asked: Resources): readonly CandidateHost[] {
  return hosts.filter(
    ({ capacity, allocated }) =>
      allocated.memoryBytes + asked.memoryBytes <= capacity.memoryBytes &&
      allocated.cpus + asked.cpus <= capacity.cpus &&
      allocated.containers + asked.containers <= capacity.containers,
  );
}

/** @param hosts ready hosts of the requested data centre */
export function choosePlacement(
  hosts: readonly CandidateHost[],
  storageNodes: readonly string[],
  asked: Resources,
  policy: PlacementPolicy,
  random: number,
  turn: number,
): Placement {
  const near = reaching(hosts, storageNodes);
  if (near.length === 0)
    return {
      ok: false,
      reason: 'no-host',
      message: `no ready host reaches the storage nodes that hold the image (${storageNodes.join(', ')})`,
    };
  const roomy = withRoom(near, asked);
  if (roomy.length === 0) return { ok: false, reason: 'no-capacity', message: noRoom(near, asked) };
  return { ok: true, hosts: policy.order(roomy, random, turn) };
}

export function noRoom(hosts: readonly CandidateHost[], asked: Resources): string {
  const mib = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`;
  const most = Math.max(...hosts.map(({ capacity, allocated }) => capacity.memoryBytes - allocated.memoryBytes));
  return (
    `no host has room for ${mib(asked.memoryBytes)} of memory and ${asked.cpus} cores: ` +
    `of ${hosts.length} ready hosts none fits, ` +
    `the most memory free on one is ${mib(Math.max(most, 0))}; ask for less, remove containers or add a host`
  );
}
