import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type RolloutApprovalRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { RolloutControl } from './rollout-control.js';

@Controller()
export class RolloutApprovalRequestedHandler {
  constructor(@Inject(RolloutControl) private readonly control: RolloutControl) {}

  @EventPattern<string>(SUBJECTS.rolloutApprovalRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutApprovalRequested>): Promise<void> {
    await this.control.apply(event, 'approve');
  }
}
