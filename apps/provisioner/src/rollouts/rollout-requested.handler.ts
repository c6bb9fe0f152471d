import { Controller, Inject } from '@nestjs/common';
import { type RolloutRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { RolloutCreation } from './rollout-creation.js';

@Controller()
export class RolloutRequestedHandler {
  constructor(@Inject(RolloutCreation) private readonly creation: RolloutCreation) {}

  @OnEvent(SUBJECTS.rolloutRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutRequested>): Promise<void> {
    await this.creation.create(event);
  }
}
