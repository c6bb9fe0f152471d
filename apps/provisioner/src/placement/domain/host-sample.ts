/**
 * Few hosts out of many, among which a batch of containers is placed: what is known of the hosts may be seconds old, so
 * those that are taken are read again under their locks. Of more hosts than are needed the emptiest are taken (power of
 * k choices): the fleet fills evenly without being sorted.
 */
import { excluding, filtersFor } from './filters.js';
import type { PlacementNeeds } from './needs.js';
import type { CandidateHost, PlacementPolicyName, Resources } from './placement.js';
import { scoreOf, scorersFor } from './scorers.js';

export interface SampleWish {
  /** Containers that need such a host. */
  readonly containers: number;
  /** What they need; of room the most that one of them does. */
  readonly needs: PlacementNeeds;
}

type Fits = (host: CandidateHost) => boolean;

const FEWEST = 4;
const ENOUGH = 32;
/** When they are nearly full, so that each takes few. */
const MOST = 128;
/** Sums of shares of cores are not exact. */
const ROUNDING = 1e-6;
/** Room for so many times the containers: others may be placing on some of the hosts. */
const SPARE = 2;
/** Hosts that are looked at for each that is taken. */
const CHOICES = 4;

/** The same for containers of the same image that the same hosts fit, whatever room they need. */
export function kindKey({ resources: _resources, ports, ...needs }: PlacementNeeds, image: string | undefined): string {
  return JSON.stringify([image, needs, ports && [...ports.on]]);
}

/** What is enough for either. */
export function larger(a: Resources, b: Resources): Resources {
  return {
    memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
    cpus: Math.max(a.cpus, b.cpus),
    containers: Math.max(a.containers, b.containers),
  };
}

/** How many hosts are taken for so many containers. */
export function sampleSize(containers: number): number {
  return Math.min(ENOUGH, FEWEST - 1 + Math.ceil(containers / 4));
}

/**
 * @param hosts in the order of their names
 * @param random gives numbers from 0 to below 1
 * @param turn counts the placements of this process
 * @returns names of hosts that fit, each once; when few hosts fit, all are looked at
 */
export function sampleHosts(
  hosts: readonly CandidateHost[],
  wishes: readonly SampleWish[],
  policy: PlacementPolicyName,
  random: () => number,
  turn: number,
): ReadonlySet<string> {
  const taken = new Set<string>();
  for (const wish of wishes) {
    let found = sampleFor(hosts, wish, wish.needs, policy, random, turn);
    // None gives containers users of their own.
    if (found.length === 0 && wish.needs.users === 'own')
      found = sampleFor(hosts, wish, { ...wish.needs, users: 'host-by-policy' }, policy, random, turn);
    for (const host of found) taken.add(host.host);
  }
  return taken;
}

function sampleFor(
  hosts: readonly CandidateHost[],
  { containers }: SampleWish,
  needs: PlacementNeeds,
  policy: PlacementPolicyName,
  random: () => number,
  turn: number,
): readonly CandidateHost[] {
  const size = sampleSize(containers);
  const filters = filtersFor(needs);
  const fits = (host: CandidateHost): boolean =>
    roomFor(host, needs.resources) > 0 && excluding(host, needs, filters) === undefined;
  const found = policy === 'round-robin' ? inTurn(hosts, fits, MOST, turn) : drawn(hosts, fits, size * CHOICES, random);
  const scorers = scorersFor(needs, policy);
  const best = scorers.length === 0 ? found : byScore(found, (host) => scoreOf(host, needs, scorers));
  let room = 0;
  let count = 0;
  for (const host of best) {
    if (count >= MOST || (count >= size && room >= containers * SPARE)) break;
    room += roomFor(host, needs.resources);
    count++;
  }
  return best.slice(0, count);
}

function byScore(hosts: readonly CandidateHost[], score: (host: CandidateHost) => number): readonly CandidateHost[] {
  return hosts
    .map((host) => ({ host, score: score(host) }))
    .sort((a, b) => b.score - a.score)
    .map(({ host }) => host);
}

/** How many of such containers still fit. */
function roomFor({ capacity, allocated }: CandidateHost, asked: Resources): number {
  return Math.min(
    capacity.containers - allocated.containers,
    Math.floor((capacity.memoryBytes - allocated.memoryBytes) / asked.memoryBytes),
    Math.floor((capacity.cpus - allocated.cpus) / asked.cpus + ROUNDING),
  );
}

function inTurn(hosts: readonly CandidateHost[], fits: Fits, size: number, from: number): CandidateHost[] {
  const found: CandidateHost[] = [];
  for (let step = 0; step < hosts.length && found.length < size; step++) {
    const host = hosts[(from + step) % hosts.length];
    if (host && fits(host)) found.push(host);
  }
  return found;
}

/** Draws twice as often as it needs hosts; then it goes through all of them, from a drawn one on. */
function drawn(hosts: readonly CandidateHost[], fits: Fits, size: number, random: () => number): CandidateHost[] {
  const found = new Set<CandidateHost>();
  for (let draw = 0; draw < 2 * size && found.size < size && size < hosts.length; draw++) {
    const host = hosts[Math.floor(random() * hosts.length)];
    if (host && fits(host)) found.add(host);
  }
  if (found.size < size)
    for (const host of inTurn(hosts, fits, size, Math.floor(random() * hosts.length))) found.add(host);
  return [...found];
}
