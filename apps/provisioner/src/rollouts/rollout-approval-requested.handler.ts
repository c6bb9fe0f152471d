import { Controller, Inject } from '@nestjs/common';
import { type RolloutApprovalRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { RolloutControl } from './rollout-control.js';

@Controller()
export class RolloutApprovalRequestedHandler {
  constructor(@Inject(RolloutControl) private readonly control: RolloutControl) {}

  @OnEvent(SUBJECTS.rolloutApprovalRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutApprovalRequested>): Promise<void> {
    await this.control.apply(event, 'approve');
  }
}
