/** Present state, last value per subject: whoever subscribes to `status.>` gets it first. Also what queries answer. */
import type { ContainerReportKind } from './events/reports.js';
import type { ContainerConfig } from './container-config.js';
import type { FallbackReason } from './events/container-events.js';

export const CONTAINER_STATES = ['requested', 'scheduled', 'starting', 'running', 'stopping', 'stopped', 'failed', 'lost', 'removed'] as const;
export type ContainerState = (typeof CONTAINER_STATES)[number];

/** A row of `ps --json`; the body of `status.container.<id>`. */
export interface ContainerStatus {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly state: ContainerState;
  readonly desired: 'running' | 'stopped' | 'removed';
  readonly host: string | null;
  readonly storageNode: string | null;
  /** Image used, `name@version`. */
  readonly image: string | null;
  readonly imageAsked: string | null;
  readonly fallbackReason: FallbackReason | null;
  readonly pid: number | null;
  readonly requestedAt: string;
  readonly startedAt: string | null;
  readonly restarts: number;
  readonly exitCode: number | null;
  /** Why it failed or waits, for people. */
  readonly message: string | null;
  readonly generation: number;
}

export interface ContainerHistoryEntry {
  readonly at: string;
  readonly kind: ContainerReportKind | 'configured' | 'lost';
  readonly generation: number;
  readonly message: string | null;
}

export interface ContainerDetails extends ContainerStatus {
  readonly config: ContainerConfig | null;
  readonly history: readonly ContainerHistoryEntry[];
}

export const HOST_STATES = ['ready', 'lost'] as const;
export interface HostStatus {
  readonly host: string;
  readonly state: (typeof HOST_STATES)[number];
  readonly datacenter: string;
  readonly storageNodes: readonly string[];
  readonly capacity: { readonly memoryBytes: number; readonly cpus: number; readonly containers: number };
  /** What containers placed here may use at the most. */
  readonly allocated: { readonly memoryBytes: number; readonly cpus: number; readonly containers: number };
  readonly load: { readonly load1: number; readonly memoryUsedBytes: number; readonly containers: number };
  readonly runtime: string;
  readonly lastSeenAt: string;
}

export interface StorageStatus {
  readonly node: string;
  readonly state: 'ready' | 'lost';
  readonly datacenter: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** `name@version` of each master. */
  readonly images: readonly string[];
  readonly volumes: number;
  readonly lastSeenAt: string;
}

export const IMAGE_STATES = ['building', 'built', 'tested', 'promoted', 'revoked', 'rejected'] as const;
export type ImageState = (typeof IMAGE_STATES)[number];

/** The provisioner's view of one version, put together from facts. */
export interface ImageSummary {
  readonly name: string;
  readonly version: string;
  readonly state: ImageState;
  readonly contentDigest: string | null;
  readonly archiveBytes: number | null;
  readonly unpackedBytes: number | null;
  readonly parent: string | null;
  /** Storage nodes that hold a master. */
  readonly storageNodes: readonly string[];
  readonly defaultVersion: boolean;
  readonly defaultOs: boolean;
  readonly containers: number;
  readonly message: string | null;
  readonly at: string;
}

/** `status.image.<name>`: where a build is. */
export interface ImageBuildStatus {
  readonly name: string;
  readonly version: string;
  readonly buildId: string;
  readonly requestId: string;
  readonly state: ImageState;
  /** e.g. `bootstrap`, `customise`, `manifest`, `archive`, `test`. */
  readonly phase: string;
  /** 0 to 1, over the whole build and test. */
  readonly fraction: number;
  readonly at: string;
}
