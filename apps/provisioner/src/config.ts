import {
  ADDRESS_POOL,
  ADDRESS_POOL6,
  LEAST_OPEN_FILES,
  MOST_OPEN_FILES,
  poolProblem,
  prefixProblem,
} from '@plinth/contracts';
import { ServiceConfig } from '@plinth/service-kit';
import { IsIn, IsInt, IsNumber, IsOptional, IsString, Max, Min, MinLength, ValidateBy } from 'class-validator';
import { parsePortRange } from './network/domain/host-ports.js';
import { DEFAULT_NETWORKS, type WantedNetwork } from './network/domain/network-choice.js';
import { PLACEMENT_POLICIES, type PlacementPolicyName } from './placement/domain/placement.js';

const checked = (name: string, problem: (value: unknown) => string | undefined): PropertyDecorator =>
  ValidateBy({
    name,
    validator: {
      validate: (value: unknown) => problem(value) === undefined,
      defaultMessage: (args) => `${args?.property ?? ''} ${problem(args?.value) ?? ''}`,
    },
  });

const rangeProblem = (value: unknown): string | undefined =>
  typeof value === 'string' && parsePortRange(value)
    ? undefined
    : 'must be two ports of 1 to 65535, the lower first, such as 30000-32767';

export class ProvisionerConfig extends ServiceConfig {
  @IsString()
  @MinLength(1)
  DATABASE_URL!: string;

  @IsIn(PLACEMENT_POLICIES)
  PLINTH_PLACEMENT: PlacementPolicyName = 'least-loaded';

  /** Limits of a container that names none. */
  @IsInt()
  @Min(4 * 1024 ** 2)
  PLINTH_DEFAULT_MEMORY_BYTES: number = 64 * 1024 ** 2;

  @IsNumber()
  @Min(0.01)
  PLINTH_DEFAULT_CPUS: number = 0.5;

  @IsInt()
  @Min(1)
  PLINTH_DEFAULT_PIDS: number = 256;

  /** Files that one process may have open. */
  @IsInt()
  @Min(LEAST_OPEN_FILES)
  @Max(MOST_OPEN_FILES)
  PLINTH_DEFAULT_OPEN_FILES: number = 65_536;

  /**
   * The cores of a host are assigned this many times over, because idle containers use none. Memory is never assigned
   * twice.
   */
  @IsNumber()
  @Min(1)
  @Max(1000)
  PLINTH_CPU_OVERCOMMIT: number = 100;

  /** Bytes that are to be free on a storage node that gets one more data volume. */
  @IsInt()
  @Min(0)
  PLINTH_STORAGE_RESERVE_BYTES: number = 32 * 1024 ** 2;

  /** Containers that a tenant may have at once; absent: as many as fit. */
  @IsOptional()
  @IsInt()
  @Min(1)
  PLINTH_TENANT_MAX_CONTAINERS?: number;

  /** Memory that the limits of a tenant's containers may add up to, bytes; absent: as much as fits. */
  @IsOptional()
  @IsInt()
  @Min(4 * 1024 ** 2)
  PLINTH_TENANT_MAX_MEMORY_BYTES?: number;

  /**
   * Disk that a tenant's data volumes may take on all storage nodes, bytes, before it gets no more containers; absent:
   * no limit.
   */
  @IsOptional()
  @IsInt()
  @Min(1)
  PLINTH_TENANT_MAX_DISK_BYTES?: number;

  /**
   * The addresses of the system's containers; the same on every provisioner and host agent. It can be made larger at any
   * time, and smaller as long as the addresses in use stay in it.
   */
  @checked('isAddressPool', poolProblem)
  PLINTH_ADDRESS_POOL: string = ADDRESS_POOL;

  /** The first 64 bits of their IPv6 addresses; the IPv4 address is in the last 32. */
  @checked('isAddressPrefix', prefixProblem)
  PLINTH_ADDRESS_POOL6: string = ADDRESS_POOL6;

  /** Host ports that are given out where a request names none. */
  @checked('isPortRange', rangeProblem)
  PLINTH_PORT_RANGE: string = '30000-32767';

  /** Of a container that names none; `auto`: `container` where the host offers it, else `isolated`. */
  @IsIn(DEFAULT_NETWORKS)
  PLINTH_DEFAULT_NETWORK: WantedNetwork = 'auto';

  /** Seconds without a heartbeat until a host or storage node counts as lost. */
  @IsInt()
  @Min(2)
  @Max(3600)
  PLINTH_HOST_LOST_SECONDS: number = 15;

  /**
   * How long the bus has the status of a removed container. Not less than the outbox keeps what it sent: it may send it
   * again.
   */
  @IsInt()
  @Min(24)
  PLINTH_KEEP_STATUS_HOURS: number = 24;

  /**
   * How long removed containers and ended rollouts can be looked up; a request with the id of an older one is a new one.
   * Longer than a stored request can come again.
   */
  @IsInt()
  @Min(9)
  PLINTH_KEEP_RECORDS_DAYS: number = 30;

  /** Seconds between two looks for what was kept long enough. */
  @IsInt()
  @Min(1)
  @Max(86_400)
  PLINTH_RETENTION_SECONDS: number = 60;
}
