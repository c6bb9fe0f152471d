/**
 * What a host has to be like to get a container: the one list of it. A filter that is added here is asked for single
 * requests, in batches, for their samples, and for moves; the compiler asks for the words of its refusal (refusals.ts).
 */
import { constraintText, type HostLimit, type HostUsers, PLACEMENT_FILTERS } from '@plinth/contracts';
import { countAt } from './groups.js';
import { labelOf, meets } from './labels.js';
import { hasImageFor, hasSpace, isUsable, type PlacementNeeds } from './needs.js';
import type { CandidateHost, Resources } from './placement.js';

export type FilterName = keyof typeof PLACEMENT_FILTERS;
export const FILTER_NAMES = Object.keys(PLACEMENT_FILTERS) as FilterName[];

export interface HostFilter {
  readonly name: FilterName;
  /** Whether it is a property of the host, which other containers do not change. */
  readonly isOfKind: boolean;
  /** Whether a container with these needs has to be asked for at all. */
  readonly concerns: (needs: PlacementNeeds) => boolean;
  readonly fits: (host: CandidateHost, needs: PlacementNeeds) => boolean;
  /** Why the host does not fit, as a sentence about it. */
  readonly why: (host: CandidateHost, needs: PlacementNeeds) => string;
}

/** Null: an older agent, which may be able to. */
const ON_REQUEST: readonly (HostUsers | null)[] = [null, 'request', 'request-or-fallback', 'always'];
const BY_POLICY: readonly (HostUsers | null)[] = ['fallback', 'request-or-fallback', 'always'];

const always = (): boolean => true;

const datacenter: HostFilter = {
  name: 'datacenter',
  isOfKind: true,
  concerns: (needs) => needs.datacenter !== undefined,
  fits: (host, needs) => host.datacenter === needs.datacenter,
  why: (host) => `it is in data centre ${host.datacenter}`,
};

const labels: HostFilter = {
  name: 'labels',
  isOfKind: true,
  concerns: ({ constraints }) => constraints !== undefined && constraints.length > 0,
  fits: (host, { constraints = [] }) => constraints.every((constraint) => meets(host, constraint)),
  why: (host, { constraints = [] }) =>
    constraints
      .filter((constraint) => !meets(host, constraint))
      .map((constraint) => `it has ${shown(host, constraint.key)}, asked for was ${constraintText(constraint)}`)
      .join('; '),
};

/** Also of the volume, when the container has one. A host with a store of its own fetches the image. */
const image: HostFilter = {
  name: 'image',
  isOfKind: true,
  concerns: (needs) => needs.storageNodes !== undefined,
  fits: (host, needs) => host.storageNodes.some((node) => hasImageFor(host, needs, node)),
  why: (host, { storageNodes = [] }) =>
    host.storageNodes.some((node) => storageNodes.includes(node))
      ? `${listed(storageNodes)} has its volume and not its image, and the host has no store of its own`
      : `it reaches ${listed(host.storageNodes)}, not ${listed(storageNodes)}`,
};

/** A host of an older agent does not report what it is. */
const architecture: HostFilter = {
  name: 'architecture',
  isOfKind: true,
  concerns: (needs) => needs.architecture !== undefined,
  fits: (host, needs) => (labelOf(host, 'arch') ?? needs.architecture) === needs.architecture,
  why: (host, needs) => `it is ${labelOf(host, 'arch')}, the image is for ${needs.architecture}`,
};

const space: HostFilter = {
  name: 'space',
  isOfKind: true,
  concerns: (needs) => needs.space?.isShort === true,
  fits: (host, needs) => host.storageNodes.some((node) => hasSpace(needs, node) && hasImageFor(host, needs, node)),
  why: (host, { space: needed }) =>
    `of ${mebibytes(needed?.bytes ?? 0)} that have to be free, there are on ${host.storageNodes
      .map((node) => `${node} ${mebibytes(needed?.free[node] ?? 0)}`)
      .join(', ')}`,
};

const network: HostFilter = {
  name: 'network',
  isOfKind: true,
  concerns: (needs) => needs.network === 'container' || (needs.isHeld && needs.network !== 'isolated'),
  fits: (host, { network: wanted, isHeld }) => {
    switch (wanted) {
      case 'isolated':
        return true;
      // Nothing holds a container in the host's network to a policy.
      case 'host':
        return !isHeld;
      case 'auto':
        return !host.network || host.egressPolicies || !isHeld;
      case 'container':
        return host.network && (host.egressPolicies || !isHeld);
    }
  },
  why: (host, needs) =>
    needs.network === 'host' || host.network
      ? 'it does not hold containers to an egress policy'
      : 'it gives containers no address of their own',
};

const disk: HostFilter = {
  name: 'disk',
  isOfKind: true,
  concerns: (needs) => needs.diskBytes !== undefined,
  fits: (host, needs) =>
    host.storageNodes.some((node) => host.diskLimits.includes(node) && hasImageFor(host, needs, node)),
  why: () => 'it can not hold a data volume to a limit there',
};

const limits: HostFilter = {
  name: 'limits',
  isOfKind: true,
  concerns: (needs) => needs.limits !== undefined && needs.limits.length > 0,
  fits: (host, needs) => missingFor(host, needs).length === 0,
  why: (host, needs) => `it can not hold ${missingFor(host, needs).join(', ')}`,
};

const users: HostFilter = {
  name: 'users',
  isOfKind: true,
  concerns: always,
  fits: (host, needs) => {
    if (needs.users === 'host-on-request') return ON_REQUEST.includes(host.hostUsers);
    if (needs.users === 'host-by-policy' && !BY_POLICY.includes(host.hostUsers)) return false;
    return host.storageNodes.some((node) => isUsable(host, needs, node));
  },
  why: (_host, needs) =>
    needs.users === 'own'
      ? 'it can not give the container users of its own there'
      : 'it does not give containers its own users',
};

const ports: HostFilter = {
  name: 'ports',
  isOfKind: false,
  concerns: (needs) => needs.ports !== undefined,
  fits: (host, needs) => !needs.ports?.on.has(host.host),
  why: () => 'a host port that was asked for is taken on it',
};

/** The first of a group that wants to be near its own has nobody to be near to. */
const near: HostFilter = {
  name: 'near',
  isOfKind: false,
  concerns: ({ groups }) => groups?.near?.isRequired === true && !(groups.near.isOwn && groups.near.counts.size === 0),
  fits: (host, { groups }) => groups?.near === undefined || (countAt(host, groups.near) ?? 0) > 0,
  why: (_host, { groups }) => `no container of the group ${groups?.near?.group} is in its ${groups?.near?.over}`,
};

const apart: HostFilter = {
  name: 'apart',
  isOfKind: false,
  concerns: ({ groups }) => groups?.apart?.isRequired === true && groups.apart.counts.size > 0,
  fits: (host, { groups }) => groups?.apart === undefined || (countAt(host, groups.apart) ?? 0) === 0,
  why: (_host, { groups }) => `a container of the group ${groups?.apart?.group} is in its ${groups?.apart?.over}`,
};

const spread: HostFilter = {
  name: 'spread',
  isOfKind: false,
  concerns: ({ groups }) => groups?.spread?.isRequired === true,
  fits: (host, { groups }) => {
    const here = groups?.spread && countAt(host, groups.spread);
    return here !== undefined && here <= (groups?.spread?.fewest ?? 0);
  },
  why: (host, { groups }) => {
    const here = groups?.spread && countAt(host, groups.spread);
    return here === undefined
      ? `it has no label ${groups?.spread?.over}`
      : `its ${groups?.spread?.over} has ${here} of the group ${groups?.spread?.group}, another has ${groups?.spread?.fewest}`;
  },
};

const room: HostFilter = {
  name: 'room',
  isOfKind: false,
  concerns: always,
  fits: (host, { resources }) => hasRoom(host, resources),
  why: ({ capacity, allocated }, { resources }) => {
    const short = [
      allocated.memoryBytes + resources.memoryBytes > capacity.memoryBytes && 'memory',
      allocated.cpus + resources.cpus > capacity.cpus && 'cores',
      allocated.containers + resources.containers > capacity.containers && 'containers',
    ].filter((part) => part !== false);
    return `it has too little left: ${short.join(', ')}`;
  },
};

/** In the order in which they are asked: the last one that took a host is the reason when none is left. */
export const FILTERS: readonly HostFilter[] = [
  datacenter,
  labels,
  image,
  architecture,
  space,
  network,
  disk,
  limits,
  users,
  ports,
  near,
  apart,
  spread,
  room,
];

function missingFor({ missingLimits }: CandidateHost, { limits: wanted = [] }: PlacementNeeds): readonly HostLimit[] {
  return wanted.filter((limit) => missingLimits.includes(limit));
}

function shown(host: CandidateHost, key: string): string {
  const value = labelOf(host, key);
  return value === undefined ? `no label ${key}` : `${key}=${value}`;
}

export function hasRoom({ capacity, allocated }: CandidateHost, asked: Resources): boolean {
  return (
    allocated.memoryBytes + asked.memoryBytes <= capacity.memoryBytes &&
    allocated.cpus + asked.cpus <= capacity.cpus &&
    allocated.containers + asked.containers <= capacity.containers
  );
}

/** Those that such needs concern: only they have to be asked. */
export function filtersFor(needs: PlacementNeeds): readonly HostFilter[] {
  return FILTERS.filter(({ concerns }) => concerns(needs));
}

/** The first of the filters that the host does not pass; undefined: it fits. */
export function excluding(
  host: CandidateHost,
  needs: PlacementNeeds,
  filters: readonly HostFilter[],
): HostFilter | undefined {
  for (const filter of filters) if (!filter.fits(host, needs)) return filter;
  return undefined;
}

/** Which hosts were left out, by the first filter that they did not pass. */
export class Exclusions {
  private readonly byFilter = new Map<FilterName, CandidateHost[]>();

  add(filter: FilterName, host: CandidateHost): void {
    const hosts = this.byFilter.get(filter);
    if (hosts) hosts.push(host);
    else this.byFilter.set(filter, [host]);
  }

  by(filter: FilterName): readonly CandidateHost[] {
    return this.byFilter.get(filter) ?? [];
  }

  /** Those that left out some, in the order in which they were asked. */
  get filters(): readonly FilterName[] {
    return FILTER_NAMES.filter((name) => this.byFilter.has(name));
  }
}

/** @returns the hosts that pass all of them */
export function sift(
  hosts: readonly CandidateHost[],
  needs: PlacementNeeds,
  filters: readonly HostFilter[],
  exclusions: Exclusions,
): readonly CandidateHost[] {
  if (filters.length === 0) return hosts;
  const fitting: CandidateHost[] = [];
  for (const host of hosts) {
    const filter = excluding(host, needs, filters);
    if (filter) exclusions.add(filter.name, host);
    else fitting.push(host);
  }
  return fitting;
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1024 ** 2)} MiB`;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'no storage node' : names.join(', ');
}
