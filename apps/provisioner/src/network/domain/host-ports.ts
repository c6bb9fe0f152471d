/** Which ports of a host a container gets: those that it asked for, or others that are given out. */
import { MAX_PORT, type PortProtocol, type PortRequest, type PublishedPort } from '@plinth/contracts';
import type { TakenPorts } from '../../placement/domain/needs.js';

/** Ports that are given out, first and last. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface PortWish {
  readonly protocol: PortProtocol;
  readonly containerPort: number;
  readonly hostAddress?: string;
  /** Absent: any. */
  readonly hostPort?: number;
  /** The request names the host port: no other will do. */
  readonly asked: boolean;
}

/** The container that gets ports. */
export interface PortHolder {
  readonly containerId: string;
  readonly tenant: string;
  readonly name: string;
}

export interface GivenPort extends PublishedPort {
  readonly asked: boolean;
}

/** A port of a host, and whose it is. */
export interface TakenPort {
  readonly host: string;
  readonly protocol: PortProtocol;
  readonly port: number;
  readonly tenant: string;
  readonly name: string;
}

export type PortChoice =
  | { readonly ok: true; readonly ports: readonly GivenPort[] }
  /** `taken`: a port that was asked for. `short`: all candidates are taken. */
  | { readonly ok: false; readonly reason: 'taken' | 'short' };

/** Reads `30000-32767`; undefined when it is not two ports, the lower first. */
export function parsePortRange(text: string): PortRange | undefined {
  const match = /^([1-9]\d{0,4})-([1-9]\d{0,4})$/.exec(text);
  const range = { first: Number(match?.[1]), last: Number(match?.[2]) };
  return range.first <= range.last && range.last <= MAX_PORT ? range : undefined;
}

export function portWishes(requests: readonly PortRequest[]): readonly PortWish[] {
  return requests.map(({ container, host, protocol = 'tcp', address }) => ({
    protocol,
    containerPort: container,
    ...(address !== undefined && { hostAddress: address }),
    ...(host !== undefined && { hostPort: host }),
    asked: host !== undefined,
  }));
}

/** How a port is written: `8080/tcp`. */
export function portText(protocol: PortProtocol, port: number): string {
  return `${port}/${protocol}`;
}

/**
 * Ports of the range, each once, from a random one on and spread over the range: ports in use lie beside each other.
 * @param random at least 0, below 1
 */
export function candidatePorts({ first, last }: PortRange, count: number, random: number): readonly number[] {
  const size = last - first + 1;
  const start = Math.floor(random * size);
  let stride = Math.floor(size * 0.618) || 1;
  while (commonDivisor(stride, size) > 1) stride++;
  return Array.from({ length: Math.min(count, size) }, (_, index) => first + ((start + index * stride) % size));
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/**
 * @param taken {@link portText} of ports of this host that are taken, at least of those that are wished for and of the
 * candidates
 * @param candidates what is given out where no port is wished for, or another container has it
 */
export function choosePorts(
  wishes: readonly PortWish[],
  taken: ReadonlySet<string>,
  candidates: readonly number[],
): PortChoice {
  const used = new Set(taken);
  const chosen = new Map<PortWish, number>();
  const claim = (wish: PortWish, port: number): boolean => {
    const text = portText(wish.protocol, port);
    if (used.has(text)) return false;
    used.add(text);
    chosen.set(wish, port);
    return true;
  };
  // What was asked for comes first: what is given out must not take it.
  for (const wish of wishes) if (wish.asked && !claim(wish, wish.hostPort ?? 0)) return { ok: false, reason: 'taken' };
  for (const wish of wishes) if (!wish.asked && wish.hostPort !== undefined) claim(wish, wish.hostPort);
  for (const wish of wishes)
    if (!chosen.has(wish) && !candidates.some((port) => claim(wish, port))) return { ok: false, reason: 'short' };
  return {
    ok: true,
    ports: wishes.map((wish) => ({
      protocol: wish.protocol,
      hostPort: chosen.get(wish) ?? 0,
      containerPort: wish.containerPort,
      ...(wish.hostAddress !== undefined && { hostAddress: wish.hostAddress }),
      asked: wish.asked,
    })),
  };
}

const HOLDERS_NAMED = 5;

/**
 * What is taken of the ports that a container asks for.
 * @param taken on any host, also what others ask for
 * @param tenant names of other tenants' containers are not its business
 */
export function takenOf(
  wishes: readonly PortWish[],
  taken: readonly TakenPort[],
  tenant: string,
): TakenPorts | undefined {
  const asked = wishes.filter((wish) => wish.asked);
  if (asked.length === 0 || taken.length === 0) return undefined;
  const texts = new Set(asked.map(({ protocol, hostPort = 0 }) => portText(protocol, hostPort)));
  const own = taken.filter(({ protocol, port }) => texts.has(portText(protocol, port)));
  if (own.length === 0) return undefined;
  return { on: new Set(own.map(({ host }) => host)), message: (hosts) => portsTaken(tenant, hosts, own) };
}

/** Why none of the hosts is left. @param taken on any host */
function portsTaken(tenant: string, hosts: readonly { readonly host: string }[], taken: readonly TakenPort[]): string {
  const names = new Set(hosts.map(({ host }) => host));
  const here = taken.filter(({ host }) => names.has(host));
  const where = hosts.length === 1 ? 'the one host' : `each of the ${hosts.length} hosts`;
  return (
    `a host port that was asked for is taken on ${where} that could run the container: ${holdersOf(tenant, here)}; ` +
    'ask for another host port, or for none, and one is given out'
  );
}

/** Why a container that stays on its host does not get a port that it asks for. @param taken on its host */
export function portsHeld(tenant: string, taken: readonly TakenPort[]): string {
  return (
    `a host port that was asked for is taken: ${holdersOf(tenant, taken)}; ask for another host port, or for none, and ` +
    'one is given out'
  );
}

function holdersOf(tenant: string, taken: readonly TakenPort[]): string {
  const holders = taken.slice(0, HOLDERS_NAMED).map((item) => {
    const holder = item.tenant === tenant ? `container ${item.name}` : "another tenant's container";
    return `${portText(item.protocol, item.port)} on ${item.host} by ${holder}`;
  });
  return `${holders.join(', ')}${taken.length > holders.length ? ` and ${taken.length - holders.length} more` : ''}`;
}
