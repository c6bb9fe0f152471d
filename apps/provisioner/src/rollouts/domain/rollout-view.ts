/** What a rollout and its containers are when its next steps are planned, and the steps as data. */
import type { MemberPhase, RolloutCounts, RolloutRequested, RolloutState, RolloutWait } from '@plinth/contracts';

export interface PlannedMember {
  readonly ordinal: number;
  readonly containerId: string;
  readonly tenant: string;
  readonly host: string;
  readonly hostLost: boolean;
  readonly storageNode: string;
  readonly fromImage: string;
  readonly toImage: string;
  readonly phase: MemberPhase;
  /** Why it failed or was skipped. */
  readonly reason: string | null;
  /** null: not chosen for a batch yet. */
  readonly batch: number | null;
  /** Whether this rollout has switched it at some time. */
  readonly switched: boolean;
  /** Start of the present phase, milliseconds since the epoch. */
  readonly changedAtMs: number;
  readonly desired: 'running' | 'stopped' | 'removed';
  readonly removed: boolean;
  /** Image of the container's config. */
  readonly image: string;
  /** Whether an update of it, by any request, is being judged or reverted. */
  readonly updating: boolean;
}

/** All members of a rollout, counted. */
export interface MemberTally {
  readonly counts: RolloutCounts;
  /** Pending members without a batch. */
  readonly unassigned: number;
  /** The last batch that has begun; -1: none. */
  readonly batch: number;
}

/** Containers of one batch. */
export interface BatchTally {
  readonly size: number;
  readonly updated: number;
  readonly failed: number;
}

/** Hosts that are not lost. */
export interface StagedHosts {
  readonly hosts: number;
  readonly lacking: readonly HostLack[];
}

export interface HostLack {
  readonly host: string;
  readonly image: string;
  /** Why its last try to fetch it failed; null: none has, or it has not reported it. */
  readonly problem: string | null;
}

export interface RolloutView {
  readonly request: RolloutRequested;
  readonly state: RolloutState;
  readonly pausedBecause: 'person' | 'failures' | 'approval' | null;
  /** Batches below this number may begin. */
  readonly approvedBatches: number;
  /** Failures that a person has accepted. */
  readonly forgivenFailures: number;
  readonly finishedBatch: number;
  readonly changedAtMs: number;
  readonly tally: MemberTally;
  /** The last batch, when nothing of it is in progress or to come. */
  readonly batchTally: BatchTally;
  /** The last change of a member, milliseconds since the epoch; read when the rollout can only wait. */
  readonly lastChangeMs: number;
  /**
   * Those that may get a step now, in their order, and no more of each kind than one decision takes: switched or
   * restored and perhaps to be settled, in the batch and not begun, next for a batch, next to be restored, and those
   * whose update nobody judged.
   */
  readonly members: readonly PlannedMember[];
  /** Every container with an update in progress, of this rollout or any other request. */
  readonly inProgress: readonly { readonly containerId: string; readonly host: string; readonly tenant: string }[];
  /** Storage nodes that lack an image which a pending member needs. */
  readonly unstaged: readonly { readonly storageNode: string; readonly image: string }[];
  /** Hosts with stores of their own that run pending members, each with an image that they need there. */
  readonly ownStores: StagedHosts;
  /** Targets on which no container may be started any more. */
  readonly withdrawn: readonly string[];
}

export type RolloutStep =
  /** null: the member leaves its batch. */
  | { readonly kind: 'assign'; readonly ordinal: number; readonly batch: number | null }
  | { readonly kind: 'switch'; readonly ordinal: number; readonly containerId: string; readonly image: string }
  | { readonly kind: 'restore'; readonly ordinal: number; readonly containerId: string; readonly image: string }
  | {
      readonly kind: 'settle';
      readonly ordinal: number;
      readonly phase: 'failed' | 'skipped';
      readonly reason: string;
      readonly message: string;
    }
  | { readonly kind: 'batch-started'; readonly batch: number; readonly size: number }
  | { readonly kind: 'batch-finished'; readonly batch: number; readonly size: number }
  | {
      readonly kind: 'become';
      readonly state: RolloutState;
      readonly because?: 'person' | 'failures' | 'approval';
      readonly message: string;
    }
  /** No update of the rollout is in progress any more, and nothing more will be done. */
  | { readonly kind: 'end'; readonly message: string };

export interface RolloutDecision {
  readonly steps: readonly RolloutStep[];
  /** Why the rollout waits now; null: it continues as soon as the steps are written, or it has ended. */
  readonly wait: RolloutWait | null;
}

/** Pending members that have a batch, and those that are being judged: all of them are of the last batch. */
export function openMembers({ counts, unassigned }: MemberTally): number {
  return counts.pending - unassigned + counts.switching;
}
