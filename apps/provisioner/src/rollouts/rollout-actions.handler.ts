import { Controller, Inject } from '@nestjs/common';
import {
  type RolloutAbortRequested,
  type RolloutApprovalRequested,
  type RolloutPauseRequested,
  type RolloutResumeRequested,
  type RolloutRevertRequested,
  SUBJECTS,
} from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { RolloutControl } from './rollout-control.js';

/** `rollout.pause.requested`, `resume`, `abort`, `revert`, `approval`. */
@Controller()
export class RolloutActionsHandler {
  constructor(@Inject(RolloutControl) private readonly control: RolloutControl) {}

  @OnEvent(SUBJECTS.rolloutPauseRequested, { concurrency: 4 })
  pause(event: ReceivedEvent<RolloutPauseRequested>): Promise<void> {
    return this.control.apply(event, 'pause');
  }

  @OnEvent(SUBJECTS.rolloutResumeRequested, { concurrency: 4 })
  resume(event: ReceivedEvent<RolloutResumeRequested>): Promise<void> {
    return this.control.apply(event, 'resume');
  }

  @OnEvent(SUBJECTS.rolloutAbortRequested, { concurrency: 4 })
  abort(event: ReceivedEvent<RolloutAbortRequested>): Promise<void> {
    return this.control.apply(event, 'abort');
  }

  @OnEvent(SUBJECTS.rolloutRevertRequested, { concurrency: 4 })
  revert(event: ReceivedEvent<RolloutRevertRequested>): Promise<void> {
    return this.control.apply(event, 'revert');
  }

  @OnEvent(SUBJECTS.rolloutApprovalRequested, { concurrency: 4 })
  approve(event: ReceivedEvent<RolloutApprovalRequested>): Promise<void> {
    return this.control.apply(event, 'approve');
  }
}
