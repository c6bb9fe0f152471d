import { Controller, Inject } from '@nestjs/common';
import { type RolloutPauseRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { RolloutControl } from './rollout-control.js';

@Controller()
export class RolloutPauseRequestedHandler {
  constructor(@Inject(RolloutControl) private readonly control: RolloutControl) {}

  @OnEvent(SUBJECTS.rolloutPauseRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutPauseRequested>): Promise<void> {
    await this.control.apply(event, 'pause');
  }
}
