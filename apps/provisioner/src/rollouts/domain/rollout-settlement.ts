/** Members of a rollout that are settled without a step of its own, and how long each is waited for. */
import type { PlannedMember, RolloutStep, RolloutView } from './rollout-view.js';

const DEFAULT_DEADLINE_SECONDS = 600;
/** Reason of a member that was not judged, or not reverted, in time. */
export const LATE = 'deadline';

/** Members that are settled without an action: removed, stopped, on the target already, on a lost host, too late. */
export function settleMembers(view: RolloutView, nowMs: number): readonly RolloutStep[] {
  return view.members.flatMap((member) => {
    const verdict = verdictOn(member, view, nowMs);
    return verdict ? [{ kind: 'settle' as const, ordinal: member.ordinal, ...verdict }] : [];
  });
}

type Settlement = Omit<Extract<RolloutStep, { kind: 'settle' }>, 'kind' | 'ordinal'>;

function verdictOn(member: PlannedMember, view: RolloutView, nowMs: number): Settlement | undefined {
  const active = member.phase === 'pending' || member.phase === 'switching' || member.phase === 'restoring';
  if (!active) return undefined;
  const skip = (reason: string, message: string): Settlement => ({ phase: 'skipped', reason, message });
  if (member.removed || member.desired === 'removed') return skip('removed', 'it was removed meanwhile');
  if (member.desired === 'stopped') {
    return member.phase === 'pending'
      ? skip('stopped', 'it is stopped; it stays on its image')
      : skip('stopped', 'it was stopped meanwhile; its present config applies when it is started');
  }
  if (member.phase === 'pending') {
    if (member.image === member.toImage && !member.updating)
      return skip('already-on-image', `it is on ${member.toImage} already`);
    return undefined;
  }
  // Its config is written: a lost host carries it out when it comes back.
  if (member.hostLost)
    return skip('host-lost', `host ${member.host} is lost; it will follow its config when it comes back`);
  const { request } = view;
  const deadline = patienceOf(view);
  const judging =
    member.phase === 'switching' ? ((request.stableSeconds ?? 5) + (request.soakSeconds ?? 60)) * 1000 : 0;
  if (nowMs - member.changedAtMs <= deadline + judging) return undefined;
  const what = member.phase === 'switching' ? 'not judged' : 'not back';
  return {
    phase: 'failed',
    reason: LATE,
    message: `${what} after ${Math.round((nowMs - member.changedAtMs) / 1000)} s; plinth inspect shows its state`,
  };
}

/** How long a switch or a way back may take, milliseconds; the gate and the soak time come on top. */
export function patienceOf({ request }: Pick<RolloutView, 'request'>): number {
  return (request.deadlineSeconds ?? DEFAULT_DEADLINE_SECONDS) * 1000;
}
