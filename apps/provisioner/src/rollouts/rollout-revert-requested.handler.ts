import { Controller, Inject } from '@nestjs/common';
import { type RolloutRevertRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { RolloutControl } from './rollout-control.js';

@Controller()
export class RolloutRevertRequestedHandler {
  constructor(@Inject(RolloutControl) private readonly control: RolloutControl) {}

  @OnEvent(SUBJECTS.rolloutRevertRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutRevertRequested>): Promise<void> {
    await this.control.apply(event, 'revert');
  }
}
