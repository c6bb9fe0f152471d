import { ServiceConfig } from '@plinth/service-kit';
import { IsIn, IsInt, IsNumber, IsOptional, IsString, Max, Min, MinLength } from 'class-validator';
import { PLACEMENT_POLICIES, type PlacementPolicyName } from './placement/domain/placement.js';

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

  /**
   * The cores of a host are assigned this many times over, because idle containers use none. Memory is never assigned
   * twice.
   */
  @IsNumber()
  @Min(1)
  @Max(1000)
  PLINTH_CPU_OVERCOMMIT: number = 100;

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

  /** Seconds without a heartbeat until a host or storage node counts as lost. */
  @IsInt()
  @Min(2)
  @Max(3600)
  PLINTH_HOST_LOST_SECONDS: number = 15;
}
