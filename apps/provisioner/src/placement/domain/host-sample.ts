/**
 * Few hosts out of many, among which a batch of containers is placed: what is known of the hosts may be seconds old, so
 * those that are taken are read again under their locks. Of more hosts than are needed the emptiest are taken (power of
 * k choices): the fleet fills evenly without being sorted.
 */
import { type CandidateHost, type PlacementPolicyName, pressure, type Resources } from './placement.js';

export interface SampleWish {
  /** Containers that need such a host. */
  readonly containers: number;
  /** The most that one of them needs. */
  readonly asked: Resources;
  /** Without regard to its room. */
  readonly fits: (host: CandidateHost) => boolean;
}

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
  for (const { containers, asked, fits: suits } of wishes) {
    const size = sampleSize(containers);
    const fits = (host: CandidateHost): boolean => roomFor(host, asked) > 0 && suits(host);
    const found =
      policy === 'round-robin' ? inTurn(hosts, fits, MOST, turn) : drawn(hosts, fits, size * CHOICES, random);
    if (policy === 'least-loaded') found.sort((a, b) => pressure(a) - pressure(b));
    let room = 0;
    for (const [index, host] of found.entries()) {
      if (index >= MOST || (index >= size && room >= containers * SPARE)) break;
      room += roomFor(host, asked);
      taken.add(host.host);
    }
  }
  return taken;
}

/** How many of such containers still fit. */
function roomFor({ capacity, allocated }: CandidateHost, asked: Resources): number {
  return Math.min(
    capacity.containers - allocated.containers,
    Math.floor((capacity.memoryBytes - allocated.memoryBytes) / asked.memoryBytes),
    Math.floor((capacity.cpus - allocated.cpus) / asked.cpus + ROUNDING),
  );
}

function inTurn(
  hosts: readonly CandidateHost[],
  fits: SampleWish['fits'],
  size: number,
  from: number,
): CandidateHost[] {
  const found: CandidateHost[] = [];
  for (let step = 0; step < hosts.length && found.length < size; step++) {
    const host = hosts[(from + step) % hosts.length];
    if (host && fits(host)) found.push(host);
  }
  return found;
}

/** Draws twice as often as it needs hosts; then it goes through all of them, from a drawn one on. */
function drawn(
  hosts: readonly CandidateHost[],
  fits: SampleWish['fits'],
  size: number,
  random: () => number,
): CandidateHost[] {
  const found = new Set<CandidateHost>();
  for (let draw = 0; draw < 2 * size && found.size < size && size < hosts.length; draw++) {
    const host = hosts[Math.floor(random() * hosts.length)];
    if (host && fits(host)) found.add(host);
  }
  if (found.size < size)
    for (const host of inTurn(hosts, fits, size, Math.floor(random() * hosts.length))) found.add(host);
  return [...found];
}
