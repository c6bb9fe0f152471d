import { Controller, Inject } from '@nestjs/common';
import { type RolloutResumeRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { RolloutControl } from './rollout-control.js';

@Controller()
export class RolloutResumeRequestedHandler {
  constructor(@Inject(RolloutControl) private readonly control: RolloutControl) {}

  @OnEvent(SUBJECTS.rolloutResumeRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutResumeRequested>): Promise<void> {
    await this.control.apply(event, 'resume');
  }
}
