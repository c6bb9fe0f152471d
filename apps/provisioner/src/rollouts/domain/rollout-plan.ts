/**
 * The next steps of a rollout: a pure function of the rollout, its containers, other updates in progress, and the time.
 * The result is written in one transaction with the rollout's row locked, so it is called again only after its result
 * is stored.
 */
import type { RolloutWait } from '@plinth/contracts';
import { batchSize, type Budgets, budgetsOf, InProgress } from './rollout-budgets.js';
import { patienceOf, LATE, settleMembers } from './rollout-settlement.js';
import { planStaging } from './rollout-staging.js';
import {
  openMembers,
  type PlannedMember,
  type RolloutDecision,
  type RolloutStep,
  type RolloutView,
} from './rollout-view.js';
import { nextOpening, windowIsOpen } from './rollout-window.js';

export function planRollout(view: RolloutView, nowMs: number): RolloutDecision {
  const settled = settleMembers(view, nowMs);
  // One kind of change at a time: the consequences of a settlement are decided on a view that contains it.
  if (settled.length > 0) return { steps: settled, wait: null };
  switch (view.state) {
    case 'staging':
      return planStaging(view, nowMs);
    case 'rolling':
      return planRolling(view, nowMs);
    case 'paused':
      return planPaused(view);
    case 'reverting':
      return planReverting(view, nowMs);
    case 'aborted':
      return planEnding(view, 'aborted');
    case 'completed':
    case 'reverted':
      return { steps: [], wait: null };
  }
}

function planRolling(view: RolloutView, nowMs: number): RolloutDecision {
  const { tally, batchTally } = view;
  const halt = haltReason(view);
  if (halt !== undefined) {
    const state = (view.request.onFailure ?? 'revert') === 'revert' ? 'reverting' : 'paused';
    return { steps: [{ kind: 'become', state, because: 'failures', message: halt }], wait: null };
  }
  const { batch } = tally;
  if (batch >= 0 && openMembers(tally) > 0) return planWithinBatch(view, nowMs);
  if (batch >= 0 && view.finishedBatch < batch)
    return { steps: [{ kind: 'batch-finished', batch, size: batchTally.size }], wait: null };
  return planNextBatch(view, batch + 1, nowMs);
}

/** @returns why the rollout must not continue; undefined: it may */
function haltReason(view: RolloutView): string | undefined {
  const { request, tally, batchTally } = view;
  if (view.withdrawn.length > 0) return `${view.withdrawn.join(', ')} can't be started on any more`;
  const fresh = tally.counts.failed - view.forgivenFailures;
  const most = request.maxFailures ?? 1;
  if (fresh >= most) return `${fresh} of ${tally.counts.total} failed; ${most} halt the rollout`;
  if (request.successPercent === undefined || fresh <= 0) return undefined;
  const judged = batchTally.updated + batchTally.failed;
  if (judged === 0 || openMembers(tally) > 0) return undefined;
  const percent = (100 * batchTally.updated) / judged;
  return percent < request.successPercent
    ? `${Math.floor(percent)} % of batch ${tally.batch} succeeded; ${request.successPercent} % have to`
    : undefined;
}

function planWithinBatch(view: RolloutView, nowMs: number): RolloutDecision {
  const { batch, counts, unassigned } = view.tally;
  const pending = view.members.filter((member) => member.phase === 'pending' && member.batch === batch);
  const onLostHosts = pending.filter((member) => member.hostLost);
  // A lost host must not hold up its batch.
  if (onLostHosts.length > 0)
    return { steps: onLostHosts.map(({ ordinal }) => ({ kind: 'assign', ordinal, batch: null })), wait: null };
  const closed = windowClosed(view, nowMs);
  if (pending.length > 0 && closed) return { steps: [], wait: closed };
  const inProgress = new InProgress(view.inProgress);
  const budgets = budgetsOf(view.request, view.tally.counts.total);
  const steps: RolloutStep[] = [];
  for (const member of pending) {
    if (member.updating || inProgress.refusal(member, budgets)) continue;
    inProgress.take(member);
    steps.push({ kind: 'switch', ordinal: member.ordinal, containerId: member.containerId, image: member.toImage });
  }
  if (steps.length > 0) return { steps, wait: null };
  const [first] = pending;
  const budget = first && counts.switching === 0 ? inProgress.refusal(first, budgets) : undefined;
  const blocked = budget ? blockedForGood(view, pending, budgets, nowMs) : [];
  if (blocked.length > 0) return { steps: blocked, wait: null };
  return {
    steps: [],
    wait: budget ?? {
      reason: 'batch-running',
      message: `batch ${batch}: ${counts.switching} being judged, ${counts.pending - unassigned} to come`,
    },
  };
}

/**
 * Skips members that wait only for containers which were never judged: a longer wait frees no room. They stay on their
 * image.
 */
function blockedForGood(
  view: RolloutView,
  pending: readonly PlannedMember[],
  budgets: Budgets,
  nowMs: number,
): readonly RolloutStep[] {
  if (nowMs - lastChange(view) <= patienceOf(view)) return [];
  // This includes a container whose host came back after it was skipped: it counts again, and the rollout does not wait
  // for its verdict.
  const stuck = new InProgress(
    view.members.filter(
      (member) =>
        member.updating &&
        !member.hostLost &&
        (member.phase === 'skipped' || (member.phase === 'failed' && member.reason === LATE)),
    ),
  );
  return pending.flatMap((member): RolloutStep[] => {
    const refusal = stuck.refusal(member, budgets);
    return refusal
      ? [
          {
            kind: 'settle',
            ordinal: member.ordinal,
            phase: 'skipped',
            reason: refusal.reason,
            message: `${refusal.message}; those were never judged; the container is on ${member.image}`,
          },
        ]
      : [];
  });
}

function lastChange(view: RolloutView): number {
  return Math.max(view.changedAtMs, view.lastChangeMs);
}

function planNextBatch(view: RolloutView, batch: number, nowMs: number): RolloutDecision {
  if (view.tally.unassigned === 0)
    return { steps: [{ kind: 'become', state: 'completed', message: summary(view) }], wait: null };
  const unassigned = view.members.filter((member) => member.phase === 'pending' && member.batch === null);
  const reachable = unassigned.filter((member) => !member.hostLost);
  if (reachable.length === 0) return waitForHosts(view, unassigned, nowMs);
  if (needsApproval(view, batch))
    return {
      steps: [
        {
          kind: 'become',
          state: 'paused',
          because: 'approval',
          message: `batch ${batch} waits for an approval: plinth rollout approve`,
        },
      ],
      wait: null,
    };
  const closed = windowClosed(view, nowMs);
  if (closed) return { steps: [], wait: closed };
  const size = batchSize(view.request, view.tally);
  const chosen = reachable.slice(0, size);
  return {
    steps: [
      ...chosen.map((member): RolloutStep => ({ kind: 'assign', ordinal: member.ordinal, batch })),
      { kind: 'batch-started', batch, size: chosen.length },
    ],
    wait: null,
  };
}

/** Hosts that a message names. */
const NAMED_HOSTS = 5;

/** Only members on lost hosts are left: the rollout waits for them for a limited time. */
function waitForHosts(view: RolloutView, left: readonly PlannedMember[], nowMs: number): RolloutDecision {
  const hosts = [...new Set(left.map((member) => member.host))].sort();
  const named = hosts.slice(0, NAMED_HOSTS).join(', ') + (hosts.length > NAMED_HOSTS ? ' and others' : '');
  if (nowMs - lastChange(view) <= patienceOf(view))
    return {
      steps: [],
      wait: { reason: 'host-lost', message: `lost: ${named}; ${view.tally.unassigned} containers wait for it` },
    };
  return {
    steps: left.map((member) => ({
      kind: 'settle',
      ordinal: member.ordinal,
      phase: 'skipped',
      reason: 'host-lost',
      message: `host ${member.host} stayed lost; it is on ${member.image}`,
    })),
    wait: null,
  };
}

function needsApproval(view: RolloutView, batch: number): boolean {
  if (batch === 0 || batch < view.approvedBatches) return false;
  const approval = view.request.approval ?? 'none';
  const canary = (view.request.canary ?? 1) > 0;
  return approval === 'batches' || (approval === 'canary' && canary && batch === 1);
}

function planPaused(view: RolloutView): RolloutDecision {
  const open = view.tally.counts.switching;
  const remaining = open > 0 ? `; updates in progress end by themselves: ${open}` : '';
  switch (view.pausedBecause) {
    case 'approval':
      return {
        steps: [],
        wait: { reason: 'approval-needed', message: `plinth rollout approve continues it${remaining}` },
      };
    case 'failures':
      return {
        steps: [],
        wait: {
          reason: 'paused-by-failures',
          message: `plinth rollout resume continues it, plinth rollout revert takes it back${remaining}`,
        },
      };
    default:
      return {
        steps: [],
        wait: { reason: 'paused-by-person', message: `plinth rollout resume continues it${remaining}` },
      };
  }
}

/** Every container that this rollout has switched is reverted; failed updates revert by themselves. */
function planReverting(view: RolloutView, nowMs: number): RolloutDecision {
  const inProgress = new InProgress(view.inProgress);
  const budgets: Budgets = budgetsOf(view.request, view.tally.counts.total);
  const steps: RolloutStep[] = [];
  let held: RolloutWait | undefined;
  for (const member of view.members.filter(needsRestore)) {
    // A container with an update in progress is down, or about to be judged: a revert makes nothing worse. For a
    // container on a lost host a wait has no use.
    const refusal = inProgress.has(member) || member.hostLost ? undefined : inProgress.refusal(member, budgets);
    if (refusal) {
      held ??= refusal;
      continue;
    }
    inProgress.take(member);
    steps.push({ kind: 'restore', ordinal: member.ordinal, containerId: member.containerId, image: member.fromImage });
  }
  if (steps.length > 0) return { steps, wait: null };
  const { restoring } = view.tally.counts;
  const failing = view.members.filter(
    (member) => member.phase === 'failed' && member.updating && !member.hostLost && !isLate(member, view, nowMs),
  ).length;
  if (held === undefined && restoring === 0 && failing === 0)
    return { steps: [{ kind: 'become', state: 'reverted', message: summary(view) }], wait: null };
  if (restoring === 0 && held) return { steps: [], wait: held };
  return { steps: [], wait: { reason: 'revert-running', message: `${restoring + failing} being reverted` } };
}

function needsRestore(member: PlannedMember): boolean {
  if (member.removed || member.desired === 'removed') return false;
  if (member.phase === 'updated' || member.phase === 'switching') return true;
  const unjudged = member.phase === 'skipped' || (member.phase === 'failed' && member.reason === LATE);
  return unjudged && member.switched && member.image === member.toImage;
}

function isLate(member: PlannedMember, view: RolloutView, nowMs: number): boolean {
  return nowMs - member.changedAtMs > patienceOf(view);
}

function planEnding(view: RolloutView, verb: string): RolloutDecision {
  const open = view.tally.counts.switching;
  if (open > 0)
    return { steps: [], wait: { reason: 'ending', message: `updates in progress end by themselves: ${open}` } };
  return { steps: [{ kind: 'end', message: `${verb}: ${summary(view)}` }], wait: null };
}

function windowClosed(view: RolloutView, nowMs: number): RolloutWait | undefined {
  const { window } = view.request;
  if (!window || windowIsOpen(window, nowMs)) return undefined;
  const opens = nextOpening(window, nowMs);
  return {
    reason: 'window-closed',
    message: opens === null ? 'its window never opens again' : `its window opens at ${new Date(opens).toISOString()}`,
  };
}

function summary(view: RolloutView): string {
  const phases = ['updated', 'failed', 'skipped', 'restored', 'pending'] as const;
  const parts = phases.map((phase) => ({ phase, count: view.tally.counts[phase] }));
  return (
    parts
      .filter(({ count }) => count > 0)
      .map(({ phase, count }) => `${count} ${phase}`)
      .join(', ') || 'nothing to do'
  );
}
