/** Pause, resume, abort, revert, approve: one change of one rollout, in one transaction. */
import { Inject, Injectable } from '@nestjs/common';
import {
  type RolloutActionRequested,
  type RolloutOperation,
  type RolloutRejected,
  type RolloutState,
  SUBJECTS,
} from '@plinth/contracts';
import { causeOf, claimEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { changeOf, lockRollout, type RolloutChange, type RolloutRow, saveRollout } from './rollout.store.js';
import { tallyMembers } from './member.store.js';
import { announceRollout, type RolloutAnnouncement } from './rollout-announcement.js';
import { RolloutProgress } from './rollout-progress.js';

export type RolloutAction = Exclude<RolloutOperation, 'start'>;

const POSSIBLE: Readonly<Record<RolloutAction, readonly RolloutState[]>> = {
  pause: ['staging', 'rolling'],
  resume: ['paused'],
  approve: ['paused'],
  abort: ['staging', 'rolling', 'paused'],
  revert: ['staging', 'rolling', 'paused', 'completed', 'aborted'],
};

@Injectable()
export class RolloutControl {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(RolloutProgress) private readonly progress: RolloutProgress,
  ) {}

  async apply(event: ReceivedEvent<RolloutActionRequested>, action: RolloutAction): Promise<void> {
    const { rolloutId } = event.data;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const refuse = (reason: RolloutRejected['reason'], message: string): void =>
        unit.refuse(SUBJECTS.rolloutRejected, { operation: action, reason, message, rolloutId });
      const row = await lockRollout(unit.db, rolloutId);
      if (!row)
        return refuse(
          'rollout-not-found',
          `there is no rollout ${rolloutId}; plinth rollout ls --all lists all rollouts`,
        );
      if (!POSSIBLE[action].includes(row.state) || (action === 'approve' && row.paused_because !== 'approval')) {
        return refuse(
          'wrong-state',
          `the rollout is ${row.state}${row.paused_because ? ` (${row.paused_because})` : ''}: ` +
            `it can't be asked to ${action}`,
        );
      }
      const { counts, batch } = await tallyMembers(unit.db, rolloutId);
      const saved = await saveRollout(unit.db, rolloutId, next(row, action, counts.failed, batch));
      await announceRollout(unit, saved, announcementsOf(action));
    });
    this.progress.kick();
  }
}

/** @param failed members that have failed so far @param batch the last one that has begun */
function next(row: RolloutRow, action: RolloutAction, failed: number, batch: number): RolloutChange {
  const same: RolloutChange = { ...changeOf(row), pausedBecause: null, wait: null, ended: false };
  switch (action) {
    case 'pause':
      return { ...same, state: 'paused', pausedBecause: 'person' };
    // The rollout passes staging again: an image may have been removed from a storage node meanwhile.
    case 'resume':
    case 'approve':
      return {
        ...same,
        state: 'staging',
        forgivenFailures: failed,
        approvedBatches: row.paused_because === 'approval' ? batch + 2 : row.approved_batches,
      };
    case 'abort':
      return { ...same, state: 'aborted' };
    case 'revert':
      return { ...same, state: 'reverting' };
  }
}

function announcementsOf(action: RolloutAction): readonly RolloutAnnouncement[] {
  switch (action) {
    case 'pause':
      return [
        (fact) => ({
          subject: SUBJECTS.rolloutPaused,
          data: { ...fact, message: 'a person paused it', because: 'person' },
        }),
      ];
    case 'resume':
      return [(fact) => ({ subject: SUBJECTS.rolloutResumed, data: { ...fact, message: 'a person resumed it' } })];
    case 'approve':
      return [
        (fact) => ({
          subject: SUBJECTS.rolloutResumed,
          data: { ...fact, message: 'a person approved the next batch' },
        }),
      ];
    case 'revert':
      return [
        (fact) => ({
          subject: SUBJECTS.rolloutHalted,
          data: { ...fact, message: 'a person requested the revert', because: 'person' },
        }),
      ];
    // The fact is published when no update of the rollout is in progress any more.
    case 'abort':
      return [];
  }
}
