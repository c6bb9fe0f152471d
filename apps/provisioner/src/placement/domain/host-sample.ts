/**
 * Few hosts out of many, among which a batch of containers is placed: what is known of the hosts may be seconds old, so
 * those that are taken are read again under their locks. Of more hosts than are needed the emptiest are taken (power of
 * k choices): the fleet fills evenly without being sorted.
 */
import { excluding, filtersFor } from './filters.js';
import type { GroupNeed } from './groups.js';
import { labelOf } from './labels.js';
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
export function kindKey(
  { resources: _resources, warm: _warm, held: _held, space, ports, groups, ...needs }: PlacementNeeds,
  image: string | undefined,
): string {
  const rules = groups && [groups.near, groups.apart, groups.spread].map((rule) => rule && { ...rule, counts: null });
  return JSON.stringify([image, needs, space?.bytes, ports && [...ports.on], rules]);
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
  const { apart, spread } = needs.groups ?? {};
  // Each of them may need a place of its own.
  const size = apart || spread ? Math.min(MOST, 2 * containers + FEWEST) : sampleSize(containers);
  // Where the fewest are changes with each that is placed.
  const filters = filtersFor(needs).filter(({ name }) => name !== 'spread');
  const fits = (host: CandidateHost): boolean =>
    roomFor(host, needs.resources) > 0 && excluding(host, needs, filters) === undefined;
  const scorers = scorersFor(needs, policy);
  const score = (host: CandidateHost): number => scoreOf(host, needs, scorers);
  if (spread) return acrossPlaces(hosts.filter(fits), spread, size, score, random);
  const found = policy === 'round-robin' ? inTurn(hosts, fits, MOST, turn) : drawn(hosts, fits, size * CHOICES, random);
  const best = scorers.length === 0 ? found : byScore(found, score);
  let room = 0;
  let count = 0;
  for (const host of best) {
    if (count >= MOST || (count >= size && room >= containers * SPARE)) break;
    room += roomFor(host, needs.resources);
    count++;
  }
  return best.slice(0, count);
}

/** From each place in turn, those where the fewest of the group are first; in each the best of some that are drawn. */
function acrossPlaces(
  hosts: readonly CandidateHost[],
  spread: GroupNeed,
  size: number,
  score: (host: CandidateHost) => number,
  random: () => number,
): readonly CandidateHost[] {
  const byPlace = new Map<string, CandidateHost[]>();
  for (const host of hosts) {
    const place = labelOf(host, spread.over) ?? '';
    const there = byPlace.get(place);
    if (there) there.push(host);
    else byPlace.set(place, [host]);
  }
  const fewest = [...byPlace]
    .map(([place, there]) => ({
      there,
      // Hosts without the label come last.
      count: place === '' ? Number.POSITIVE_INFINITY : (spread.counts.get(place) ?? 0),
      draw: random(),
    }))
    .sort((a, b) => (a.count === b.count ? a.draw - b.draw : a.count - b.count))
    .slice(0, size);
  const each = Math.ceil(size / Math.max(fewest.length, 1));
  const best = fewest.map(({ there }) => byScore(someOf(there, each * CHOICES, random), score));
  const taken: CandidateHost[] = [];
  for (let round = 0; round < each && taken.length < size; round++)
    for (const there of best) {
      const host = there[round];
      if (host && taken.length < size) taken.push(host);
    }
  return taken;
}

function someOf(hosts: readonly CandidateHost[], most: number, random: () => number): readonly CandidateHost[] {
  if (hosts.length <= most) return hosts;
  return [...new Set(Array.from({ length: most }, () => hosts[Math.floor(random() * hosts.length)]))].filter(
    (host) => host !== undefined,
  );
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
