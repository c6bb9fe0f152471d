/** Present state, last value per subject: whoever subscribes to `status.>` gets it first. Also what queries answer. */
import type { ContainerReportKind } from './events/reports.js';
import type { ContainerConfig } from '../container-config.js';
import type { ContainerFailureReason, FallbackReason } from './events/container-facts.js';
import type { RolloutCounts, RolloutRequested, RolloutSelection, RolloutState } from './events/rollout-events.js';

export const CONTAINER_STATES = [
  'requested',
  'scheduled',
  'starting',
  'running',
  'stopping',
  'stopped',
  'failed',
  'lost',
  'removed',
] as const;
export type ContainerState = (typeof CONTAINER_STATES)[number];

export const UPDATE_STATES = ['switching', 'updated', 'reverting', 'reverted', 'refused'] as const;
export type UpdateState = (typeof UPDATE_STATES)[number];

/** The last change of a container's image. */
export interface UpdateStatus {
  readonly updateId: string;
  readonly rolloutId: string | null;
  /** `switching`: until gate and soak time are over. */
  readonly state: UpdateState;
  readonly from: string;
  readonly to: string;
  readonly reason: ContainerFailureReason | null;
  readonly message: string | null;
  readonly at: string;
}

/** A row of `ps --json`; the body of `status.container.<id>`. */
export interface ContainerStatus {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly state: ContainerState;
  readonly desired: 'running' | 'stopped' | 'removed' | 'released';
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
  /** `name@version` on which it stayed healthy for a soak time, newest of them. */
  readonly knownGood: string | null;
  readonly update: UpdateStatus | null;
}

export interface ContainerHistoryEntry {
  readonly at: string;
  readonly kind: ContainerReportKind | 'configured' | 'lost' | 'moved';
  readonly generation: number;
  readonly message: string | null;
}

export interface ContainerDetails extends ContainerStatus {
  readonly config: ContainerConfig | null;
  readonly history: readonly ContainerHistoryEntry[];
}

/** `suspect`: heartbeats are missing; nothing new is placed there, nothing is moved yet. */
export const HOST_STATES = ['ready', 'suspect', 'lost'] as const;

export interface HostStatus {
  readonly host: string;
  readonly state: (typeof HOST_STATES)[number];
  /** Nothing new is placed on it. */
  readonly cordoned: boolean;
  /** Set while it is being emptied. */
  readonly drain: { readonly left: number; readonly waiting: string | null } | null;
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

export const IMAGE_STATES = ['building', 'built', 'tested', 'promoted', 'revoked', 'rejected', 'retired'] as const;
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

export const MEMBER_PHASES = ['pending', 'switching', 'updated', 'failed', 'skipped', 'restoring', 'restored'] as const;
export type MemberPhase = (typeof MEMBER_PHASES)[number];

/** Why a rollout does nothing at this moment. */
export const ROLLOUT_WAITS = [
  'image-not-staged',
  'window-closed',
  'approval-needed',
  'batch-running',
  'host-budget',
  'tenant-budget',
  'host-lost',
  'paused-by-person',
  'paused-by-failures',
  'revert-running',
  'ending',
] as const;
export type RolloutWaitReason = (typeof ROLLOUT_WAITS)[number];

export interface RolloutWait {
  readonly reason: RolloutWaitReason;
  readonly message: string;
}

/** `status.rollout.<id>`; a row of `rollout ls --json`. */
export interface RolloutStatus {
  readonly id: string;
  readonly state: RolloutState;
  readonly to: string;
  readonly select: RolloutSelection;
  readonly counts: RolloutCounts;
  /** The batch in hand, or the last one; 0 is the canary. -1: none so far. */
  readonly batch: number;
  /** How many batches there will be, the canary counted. */
  readonly batches: number;
  readonly wait: RolloutWait | null;
  readonly requestedAt: string;
  readonly changedAt: string;
  readonly endedAt: string | null;
}

export interface RolloutMember {
  readonly containerId: string;
  readonly name: string;
  readonly tenant: string;
  readonly host: string;
  readonly from: string;
  readonly to: string;
  readonly phase: MemberPhase;
  readonly batch: number | null;
  readonly reason: string | null;
  readonly message: string | null;
}

export interface RolloutDetails extends RolloutStatus {
  readonly request: RolloutRequested;
  readonly members: readonly RolloutMember[];
}
