import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type RolloutRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { RolloutCreation } from './rollout-creation.js';

@Controller()
export class RolloutRequestedHandler {
  constructor(@Inject(RolloutCreation) private readonly creation: RolloutCreation) {}

  @EventPattern<string>(SUBJECTS.rolloutRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<RolloutRequested>): Promise<void> {
    await this.creation.create(event);
  }
}
