/**
 * What an agent writes for the resolver: one file, to which changes are appended and which is replaced as a whole when
 * many lines are out of date. The first line describes the agent, each other line sets or takes one container. The
 * fields `program` and `builtAtMs` stay the same in every format, so that an old resolver gives way to a new one. Pure.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { DOMAIN_PATTERN, LABEL_PATTERN } from './labels.js';

export const FORMAT = 1;
const ID_PATTERN = /^[0-9a-f]{32}$/;

export interface ZoneHeader {
  /** The names end so. */
  readonly domain: string;
  /** Networks of all containers' addresses: what is in them is not asked for elsewhere. */
  readonly pools: readonly string[];
  /** File that names the resolvers for all other names, see resolv.conf(5). */
  readonly resolvConf: string;
  /** false: nothing is reached by IPv6 from this machine's containers; absent: by an agent that does not say. */
  readonly hasIpv6?: boolean;
  /** File of the resolver's program that the agent has, and when it was made: the newest one runs. */
  readonly program: string;
  readonly builtAtMs: number;
}

export interface NamedContainer {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** It runs on this machine, so it asks this resolver. */
  readonly local: boolean;
  /** Whether other names are looked up for it; a container that may reach nothing else gets no answer from there. */
  readonly forwards: boolean;
}

export type ZoneChange =
  | { readonly kind: 'set'; readonly container: NamedContainer }
  | { readonly kind: 'gone'; readonly id: string };

export function headerLine(header: ZoneHeader): string {
  return `${JSON.stringify({ format: FORMAT, ...header })}\n`;
}

export function setLine({ id, name, tenant, ipv4, ipv6, local, forwards }: NamedContainer): string {
  return `${JSON.stringify({ id, name, tenant, ipv4, ipv6, local, forwards })}\n`;
}

export function goneLine(id: string): string {
  return `${JSON.stringify({ id, gone: true })}\n`;
}

export interface ReadHeader {
  /** Of the agent's resolver, in any format. */
  readonly program: string;
  readonly builtAtMs: number;
  /** undefined: the lines that follow are of another format, or it is not valid. */
  readonly header?: ZoneHeader;
}

/** @returns undefined when it is no header at all */
export function readHeader(line: string): ReadHeader | undefined {
  const found = parse(line);
  if (!found) return undefined;
  const { format, domain, pools, resolvConf, program, builtAtMs } = found;
  if (typeof program !== 'string' || !program.startsWith('/') || !isTime(builtAtMs)) return undefined;
  const newest = { program, builtAtMs };
  if (format !== FORMAT || typeof domain !== 'string' || !DOMAIN_PATTERN.test(domain)) return newest;
  if (typeof resolvConf !== 'string' || !resolvConf.startsWith('/')) return newest;
  if (!Array.isArray(pools) || !pools.every(isNetwork)) return newest;
  const hasIpv6 = found['hasIpv6'] !== false;
  return { ...newest, header: { domain, pools, resolvConf, hasIpv6, program, builtAtMs } };
}

/** @returns undefined when the line is not valid */
export function readChange(line: string): ZoneChange | undefined {
  const found = parse(line);
  const id = found?.['id'];
  if (!found || typeof id !== 'string' || !ID_PATTERN.test(id)) return undefined;
  if (found['gone'] === true) return { kind: 'gone', id };
  const { name, tenant, ipv4, ipv6, local, forwards } = found;
  if (typeof name !== 'string' || !LABEL_PATTERN.test(name)) return undefined;
  if (typeof tenant !== 'string' || !LABEL_PATTERN.test(tenant)) return undefined;
  if (typeof ipv4 !== 'string' || !isIPv4(ipv4)) return undefined;
  if (typeof ipv6 !== 'string' || !isIPv6(ipv6) || ipv6.includes('%')) return undefined;
  if (typeof local !== 'boolean' || typeof forwards !== 'boolean') return undefined;
  return { kind: 'set', container: { id, name, tenant, ipv4, ipv6, local, forwards } };
}

/** @throws RangeError, TypeError when it is no network */
export function addNetwork(list: BlockList, network: string): void {
  const [address = '', prefix = ''] = network.split('/');
  list.addSubnet(address, Number(prefix), isIPv4(address) ? 'ipv4' : 'ipv6');
}

function isNetwork(value: unknown): value is string {
  if (typeof value !== 'string' || !/^[\da-f.:]+\/\d{1,3}$/.test(value)) return false;
  try {
    addNetwork(new BlockList(), value);
    return true;
  } catch {
    return false;
  }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const found: unknown = JSON.parse(line);
    return typeof found === 'object' && found !== null && !Array.isArray(found)
      ? (found as Record<string, unknown>)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
