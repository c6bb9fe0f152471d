/** Why no host is left, with what can be done about it. */
import { constraintText, type ContainerRejectionReason, excludedText } from '@plinth/contracts';
import type { Exclusions, FilterName } from './filters.js';
import type { GroupNeed } from './groups.js';
import type { PlacementNeeds } from './needs.js';
import type { CandidateHost, Resources } from './placement.js';

export interface PlacementRefusal {
  readonly reason: ContainerRejectionReason;
  readonly message: string;
}

type Refuse = (hosts: readonly CandidateHost[], needs: PlacementNeeds) => PlacementRefusal;

/** Of the hosts that passed all filters before it. */
const REFUSALS: Readonly<Record<FilterName, Refuse>> = {
  datacenter: (_hosts, { datacenter, isMove }) => ({
    reason: 'no-host',
    message: `${noneReady(isMove)} in data centre ${datacenter}; plinth hosts lists all hosts`,
  }),
  labels: (hosts, { constraints = [] }) => ({
    reason: 'labels-not-met',
    message:
      `${none(hosts)} meets ` +
      `${constraints.map(constraintText).join(' and ')}; plinth hosts --labels shows what they have, ` +
      'plinth host label HOST KEY=VALUE sets one',
  }),
  image: (_hosts, { storageNodes = [], isMove, isImageElsewhere }) => ({
    reason: 'no-host',
    message: isMove
      ? `no other ready host reaches ${storageNodes.join(', ')}, where its volume is` +
        (isImageElsewhere
          ? ` and its image is not, and has a store of images of its own; promote the image to ${storageNodes.join(', ')}`
          : '')
      : `no ready host reaches the storage nodes that hold the image (${storageNodes.join(', ')})`,
  }),
  architecture: (hosts, { architecture }) => ({
    reason: 'architecture-not-offered',
    message: `${none(hosts)} is ${architecture}, which the image is for; plinth hosts --labels shows what they are (arch)`,
  }),
  space: (hosts, { space }) => ({
    reason: 'no-storage-space',
    message:
      `${none(hosts)} reaches a storage node with ${Math.ceil((space?.bytes ?? 0) / 1024 ** 2)} MiB free; ` +
      'delete data, ask for less disk or add a storage node (plinth storage shows what is free)',
  }),
  network: (hosts, needs) => ({ reason: 'network-not-offered', message: networkNotOffered(hosts.length, needs) }),
  disk: (hosts) => ({ reason: 'disk-limit-not-offered', message: diskLimitNotOffered(hosts.length) }),
  limits: (hosts, { limits = [] }) => ({
    reason: 'limits-not-offered',
    message: `${none(hosts)} can hold a container to ${limits.join(' and ')}: leave it out; plinth hosts -o wide shows what each misses, plinth doctor on a host what it needs`,
  }),
  users: (hosts, { users }) => ({
    reason: users === 'host-on-request' ? 'host-users-not-offered' : 'own-users-not-offered',
    message: usersNotOffered(hosts.length, users === 'host-on-request'),
  }),
  ports: (hosts, { ports }) => ({ reason: 'port-taken', message: ports?.message(hosts) ?? '' }),
  near: (hosts, { groups }) => ({
    reason: 'affinity-not-met',
    message: `${none(hosts)} has ${oneOf(groups?.near)}; start one of them first, or do not require it`,
  }),
  apart: (hosts, { groups }) => ({
    reason: 'anti-affinity-not-met',
    message: `${none(hosts)} is without ${oneOf(groups?.apart)}; add one, or do not require it`,
  }),
  spread: (hosts, { groups }) => ({
    reason: 'spread-not-met',
    message: `${none(hosts)} is in the ${groups?.spread?.over} with the fewest of the group ${groups?.spread?.group} (${groups?.spread?.fewest}); make room there, or do not require it`,
  }),
  room: (hosts, { resources }) => ({ reason: 'no-capacity', message: noRoom(hosts, resources) }),
};

/**
 * @param exclusions of all hosts that could get containers
 * @returns the reason of the last filter, with how many hosts each of the others took
 */
export function refusalOf(exclusions: Exclusions, needs: PlacementNeeds): PlacementRefusal {
  const name = exclusions.filters.at(-1);
  if (name === undefined)
    return { reason: 'no-host', message: `${noneReady(needs.isMove)}; plinth hosts lists all hosts` };
  const { reason, message } = REFUSALS[name](exclusions.by(name), needs);
  return { reason, message: `${message}${countsOf(exclusions)}` };
}

/** Nothing when one filter took them all. */
function countsOf(exclusions: Exclusions): string {
  const { filters } = exclusions;
  if (filters.length < 2) return '';
  const all = filters.reduce((sum, name) => sum + exclusions.by(name).length, 0);
  return `; of ${all} ready hosts: ${filters.map((name) => excludedText(name, exclusions.by(name).length)).join(', ')}`;
}

function oneOf(need: GroupNeed | undefined): string {
  const where = need === undefined || need.over === 'host' ? '' : ` in its ${need.over}`;
  return `a container of the group ${need?.group}${where}`;
}

function none(hosts: readonly CandidateHost[]): string {
  return hosts.length === 1 ? 'not even the one ready host' : `none of the ${hosts.length} ready hosts that are left`;
}

function noneReady(isMove: boolean | undefined): string {
  return isMove ? 'there is no other ready host' : 'no host is ready';
}

function networkNotOffered(hosts: number, { network, isHeld }: PlacementNeeds): string {
  if (network === 'host' && isHeld)
    return "what its tenant may reach is limited, and nothing holds a container in the host's network to that: ask for the network container";
  const none = hosts === 1 ? 'the one ready host does not give' : `none of the ${hosts} ready hosts gives`;
  return (
    `${none} containers an address of their own, and holds them to an egress policy where one is asked for: ask for the network isolated, without ports, egress and bandwidth, ` +
    'or wait for a host that offers it; plinth hosts lists all hosts'
  );
}

function diskLimitNotOffered(hosts: number): string {
  const none = hosts === 1 ? 'the one ready host can not hold' : `none of the ${hosts} ready hosts can hold`;
  return (
    `${none} a data volume to a limit, because the file system of its storage does not do it: leave the limit of the ` +
    'disk out, or use btrfs, ext4 or xfs with quotas; plinth hosts shows who can'
  );
}

function usersNotOffered(hosts: number, asksForHostUsers: boolean): string {
  const who = hosts === 1 ? 'the one ready host' : `none of the ${hosts} ready hosts`;
  const [verb, they] =
    hosts === 1 ? [['does not allow', 'can not give'], 'it reaches'] : [['allows', 'can give'], 'they reach'];
  return asksForHostUsers
    ? `${who} ${verb[0]} containers with its users: set PLINTH_ALLOW_HOST_USERS=true on one; plinth hosts shows who allows it`
    : `${who} ${verb[1]} containers users of their own on the storage that ${they}; plinth doctor on a host says why`;
}

export function noRoom(hosts: readonly CandidateHost[], asked: Resources): string {
  const mib = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`;
  const most = (of: (resources: Resources) => number): number =>
    Math.max(0, ...hosts.map(({ capacity, allocated }) => of(capacity) - of(allocated)));
  const memory = most(({ memoryBytes }) => memoryBytes);
  // Sums of tenths come out a little less than they are.
  const cores = Math.floor(most(({ cpus }) => cpus) * 100 + 1e-6) / 100;
  const more = most(({ containers }) => containers);
  const where = hosts.length === 1 ? 'the one ready host has' : `of ${hosts.length} ready hosts one has at the most`;
  const isApart = memory >= asked.memoryBytes && cores >= asked.cpus && more >= asked.containers;
  return (
    `no host has room for ${mib(asked.memoryBytes)} of memory and ${asked.cpus} cores: ` +
    `${where} ${mib(memory)} and ${cores} cores free, and takes ${more} more ${more === 1 ? 'container' : 'containers'}` +
    `${isApart ? ', but none has all of them' : ''}; ask for less, remove containers or add a host`
  );
}
