/** What a host has to know of the containers of a tenant that it serves, wherever they are. */
import { ArrayMaxSize, IsBoolean, IsOptional, Matches, Max } from 'class-validator';
import { IsCount } from './rules.js';
import { IsHostAddress, IsIpv4, IsIpv6, MAX_TENANT_NUMBER } from './container-network.js';
import { NestedEach } from './nested.js';
import { ID_PATTERN, NAME_PATTERN } from './values.js';

/** A tenant's containers are published in so many parts, so that a change costs one part and not all of them. */
export const NEIGHBOUR_SHARDS = 64;
/** A part stays below what the bus takes in one message. */
const MAX_NEIGHBOURS = 3_000;

/** The part that a container belongs to: ids are random, so their last bits are as good as a hash. */
export function neighbourShard(containerId: string): number {
  return parseInt(containerId.slice(-2), 16) % NEIGHBOUR_SHARDS;
}

/** A container with an address, on any host. */
export class Neighbour {
  @Matches(ID_PATTERN)
  id!: string;

  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(NAME_PATTERN)
  host!: string;

  /** Where other hosts reach the containers of its host; absent: they do not. */
  @IsOptional()
  @IsHostAddress()
  hostAddress?: string;

  @IsIpv4()
  ipv4!: string;

  @IsIpv6()
  ipv6!: string;

  /** Whether its name resolves: it keeps its address while it is stopped. */
  @IsBoolean()
  running!: boolean;
}

/**
 * `desired.host.<host>.tenant.<tenantNumber>.<shard>`: every host that has a container of the tenant with an address
 * gets all shards that have containers, its own included. A shard whose last container is gone is published without
 * containers; a host that has no container of the tenant any more gets its shards so, and they are then removed.
 */
export class TenantNeighbours {
  @Matches(NAME_PATTERN)
  tenant!: string;

  @IsCount(1)
  @Max(MAX_TENANT_NUMBER)
  tenantNumber!: number;

  @IsCount()
  @Max(NEIGHBOUR_SHARDS - 1)
  shard!: number;

  @ArrayMaxSize(MAX_NEIGHBOURS)
  @NestedEach(() => Neighbour)
  containers!: Neighbour[];
}
