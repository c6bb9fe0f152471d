/** The services that actors and executors use: one instance of each per agent. */
import type { ServingThread } from '@plinth/image-transfer/service';
import type { Logger } from '@plinth/service-kit';
import type { ContainerLogs } from '../adapters/container-logs.js';
import type { ContainerStore } from '../adapters/container-store.js';
import type { Networks } from '../adapters/networks.js';
import type { ContainerUsers } from '../adapters/container-users.js';
import type { DataVolumes } from '../adapters/data-volume.js';
import type { VolumeLimits } from '../adapters/volume-limits.js';
import type { HostClock } from '../adapters/host-clock.js';
import type { HostIo } from '../adapters/io-controls.js';
import type { ImageMasters } from '../adapters/image-master.js';
import type { LeaseWatch } from '../adapters/lease-watch.js';
import type { OciContainers } from '../adapters/oci-containers.js';
import type { FairQueue } from '../domain/fair-queue.js';
import type { StorageMounts } from '../domain/storage-mounts.js';
import type { ImageReports } from './image-reports.js';
import type { ImageScrub } from './image-scrub.js';
import type { ImageSupply } from './image-supply.js';
import type { HealthChecks } from './health-checks.js';
import type { LimitWatch } from './limit-watch.js';
import type { Neighbours } from './neighbours.js';
import type { Reporter } from './reporter.js';
import type { TenantPolicies } from './tenant-policies.js';

export interface AgentServices {
  readonly host: string;
  readonly bootId: string;
  readonly clock: HostClock;
  readonly allowHostNetwork: boolean;
  readonly users: ContainerUsers;
  readonly storage: StorageMounts;
  readonly store: ContainerStore;
  readonly containers: OciContainers;
  readonly images: ImageMasters;
  /** Fills this host's own store; absent: images are on attached storage nodes. */
  readonly supply?: ImageSupply;
  readonly imageReports?: ImageReports;
  readonly imageScrub?: ImageScrub;
  /** Serves what is in that store to others. */
  readonly serving?: ServingThread;
  readonly volumes: DataVolumes;
  readonly volumeLimits: VolumeLimits;
  readonly io: HostIo;
  readonly networks: Networks;
  readonly neighbours: Neighbours;
  readonly policies: TenantPolicies;
  /** How often the rules of the network are compared. */
  readonly networkCheckMs: number;
  readonly leases: LeaseWatch;
  readonly logs: ContainerLogs;
  readonly reporter: Reporter;
  /** Places for starts. */
  readonly starts: FairQueue;
  /**
   * Places for stops that a start follows; fewer than for starts, so that each container is down as briefly as
   * possible.
   */
  readonly handovers: FairQueue;
  /** Places for reports of a present state that was reported before. */
  readonly announcements: FairQueue;
  readonly health: HealthChecks;
  readonly limits: LimitWatch;
  readonly limitCheckMs: number;
  readonly logger: Logger;
}
