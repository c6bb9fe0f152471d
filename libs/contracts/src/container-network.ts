/** A container's network: what is asked for, and what the provisioner gives it. */
import {
  ArrayMaxSize,
  IsIn,
  IsOptional,
  Max,
  ValidateBy,
  type ValidationArguments,
  type ValidationOptions,
} from 'class-validator';
import { IsCount } from './rules.js';
import { isIPv4, isIPv6 } from 'node:net';
import { isPublishableAddress, parseIp, parseNetwork } from './ip-networks.js';
import { NestedEach } from './nested.js';

/**
 * `container`: an interface and an address of its own. `isolated`: a loopback only. `host`: the host's own network,
 * where its agent allows that.
 */
export const CONTAINER_NETWORKS = ['container', 'isolated', 'host'] as const;
export type ContainerNetwork = (typeof CONTAINER_NETWORKS)[number];

export const PORT_PROTOCOLS = ['tcp', 'udp'] as const;
export type PortProtocol = (typeof PORT_PROTOCOLS)[number];

export const EGRESS_POLICIES = ['allow', 'none', 'list'] as const;
export type EgressPolicyName = (typeof EGRESS_POLICIES)[number];

export const MAX_PORT = 65_535;
export const MAX_PUBLISHED_PORTS = 64;
export const MAX_EGRESS_RULES = 64;
/** Name of a network of CNI: what its specification allows, of a length that fits into a line. */
export const CNI_NETWORK_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;
export const MAX_REPORTED_ADDRESSES = 16;
/** The number of a tenant goes over the wire in 16 bits. */
export const MAX_TENANT_NUMBER = 65_535;
const MAX_RULE_PORTS = 15;

/** `443`, `8000-8100`: what is wrong with it, or undefined. */
export function portRangeProblem(text: unknown): string | undefined {
  const match = typeof text === 'string' ? /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(text) : null;
  if (!match) return 'must be a port such as 443, or a range such as 8000-8100';
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (first > MAX_PORT || last > MAX_PORT) return `must be of 1 to ${MAX_PORT}`;
  return first > last ? 'must begin with the lower port' : undefined;
}

const rule = (
  name: string,
  problem: (value: unknown, args?: ValidationArguments) => string | undefined,
  options?: ValidationOptions,
): PropertyDecorator =>
  ValidateBy(
    {
      name,
      validator: {
        validate: (value: unknown, args) => problem(value, args) === undefined,
        defaultMessage: (args) => `${args?.property ?? ''} ${problem(args?.value, args) ?? ''}`,
      },
    },
    options,
  );

const IsNetwork = (): PropertyDecorator =>
  rule('isNetwork', (value) =>
    typeof value === 'string' && parseNetwork(value)
      ? undefined
      : 'must be a network in CIDR form such as 10.0.0.0/8 or 2001:db8::/32, no bit set after the prefix',
  );

const IsPortRanges = (): PropertyDecorator =>
  rule('isPortRanges', (value) => {
    if (!Array.isArray(value) || value.length === 0 || value.length > MAX_RULE_PORTS)
      return `must be a list of 1 to ${MAX_RULE_PORTS} ports or ranges`;
    return value.map(portRangeProblem).find((problem) => problem !== undefined);
  });

export const IsHostAddress = (): PropertyDecorator =>
  rule('isHostAddress', (value) =>
    typeof value === 'string' && parseIp(value) !== undefined
      ? undefined
      : 'must be an IPv4 or IPv6 address of the host, without a zone',
  );

/** At which a port is published: one that leads to containers. */
export const IsPublishableAddress = (): PropertyDecorator =>
  rule('isPublishableAddress', (value) =>
    typeof value === 'string' && isPublishableAddress(value)
      ? undefined
      : 'must be an IPv4 or IPv6 address of the host, without a zone, neither loopback, link-local nor multicast',
  );

/** Of a container, as plugins of CNI have given them. */
export const AreReportedAddresses = (): PropertyDecorator =>
  rule('areReportedAddresses', (value) =>
    Array.isArray(value) &&
    value.length <= MAX_REPORTED_ADDRESSES &&
    value.every((item) => typeof item === 'string' && parseIp(item) !== undefined)
      ? undefined
      : `must be at most ${MAX_REPORTED_ADDRESSES} IPv4 and IPv6 addresses, without zones`,
  );

export const IsIpv4 = (): PropertyDecorator =>
  rule('isIpv4', (value) => (typeof value === 'string' && isIPv4(value) ? undefined : 'must be an IPv4 address'));

export const IsIpv6 = (): PropertyDecorator =>
  rule('isIpv6', (value) => (typeof value === 'string' && isIPv6(value) ? undefined : 'must be an IPv6 address'));

/** What only a container with a network of its own can have: a request that asks for another network is refused. */
export const NeedsContainerNetwork = (): PropertyDecorator =>
  rule('needsContainerNetwork', (_value, args) => {
    const network = (args?.object as { network?: unknown } | undefined)?.network;
    return network === undefined || network === 'container'
      ? undefined
      : `needs the network container, and the request asks for another; leave out network or ${args?.property ?? ''}`;
  });

/** Each host port of a protocol once, and each container port without a host port once. */
export const ArePortsDistinct = (): PropertyDecorator =>
  rule('arePortsDistinct', (value) => {
    if (!Array.isArray(value)) return undefined;
    const seen = new Set<string>();
    for (const item of value as unknown[]) {
      if (item === null || typeof item !== 'object') continue;
      const { host, container, protocol = 'tcp', address = '' } = item as Record<string, unknown>;
      const what =
        host === undefined
          ? `container port ${String(container)}/${String(protocol)} without a host port`
          : `host port ${String(host)}/${String(protocol)}`;
      const key = host === undefined ? `${what} ${String(address)}` : what;
      if (seen.has(key)) return `must not name ${what.slice(0, 60)} twice`;
      seen.add(key);
    }
    return undefined;
  });

/** A port of the container that is to be reached from outside. */
export class PortRequest {
  /** In the container. */
  @IsCount(1)
  @Max(MAX_PORT)
  container!: number;

  /** On the host; absent: one that the provisioner gives out. */
  @IsOptional()
  @IsCount(1)
  @Max(MAX_PORT)
  host?: number;

  /** Absent: `tcp`. */
  @IsOptional()
  @IsIn(PORT_PROTOCOLS)
  protocol?: PortProtocol;

  /** Of the host; absent: every address of it. A host port is given out once for all of the host's addresses. */
  @IsOptional()
  @IsPublishableAddress()
  address?: string;
}

/** One destination that a container may reach. */
export class EgressRule {
  @IsNetwork()
  network!: string;

  /** Absent: every protocol, or tcp and udp where ports are named. */
  @IsOptional()
  @IsIn(PORT_PROTOCOLS)
  protocol?: PortProtocol;

  /** Such as `443` and `8000-8100`; absent: every port. */
  @IsOptional()
  @IsPortRanges()
  ports?: string[];
}

const HasRulesForList = (): PropertyDecorator =>
  rule('hasRulesForList', (value, args) => {
    const to = (args?.object as { to?: unknown } | undefined)?.to;
    if (value === 'list' && (!Array.isArray(to) || to.length === 0))
      return 'list needs destinations in "to"; for none at all the policy is none';
    return value !== 'list' && to !== undefined ? 'must be list where "to" names destinations' : undefined;
  });

/** What a container may reach outside of its tenant. */
export class EgressPolicy {
  /** `allow`: everything. `none`: nothing. `list`: the destinations in `to`. */
  @IsIn(EGRESS_POLICIES)
  @HasRulesForList()
  policy!: EgressPolicyName;

  @IsOptional()
  @ArrayMaxSize(MAX_EGRESS_RULES)
  @NestedEach(() => EgressRule)
  to?: EgressRule[];
}

/** Given by the provisioner when it places the container, and kept until the container is removed. */
export class ContainerAddress {
  @IsIpv4()
  ipv4!: string;

  /** The prefix of the system, and the IPv4 address in the last 32 bits. */
  @IsIpv6()
  ipv6!: string;
}

/** A port of the host that leads to the container. */
export class PublishedPort {
  @IsIn(PORT_PROTOCOLS)
  protocol!: PortProtocol;

  @IsCount(1)
  @Max(MAX_PORT)
  hostPort!: number;

  @IsCount(1)
  @Max(MAX_PORT)
  containerPort!: number;

  /** Absent: every address of the host. */
  @IsOptional()
  @IsHostAddress()
  hostAddress?: string;
}
