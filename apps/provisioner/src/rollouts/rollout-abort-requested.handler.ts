import { Controller, Inject } from '@nestjs/common';
import { type RolloutAbortRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { RolloutControl } from './rollout-control.js';

@Controller()
export class RolloutAbortRequestedHandler {
  constructor(@Inject(RolloutControl) private readonly control: RolloutControl) {}

  @OnEvent(SUBJECTS.rolloutAbortRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutAbortRequested>): Promise<void> {
    await this.control.apply(event, 'abort');
  }
}
