import { Controller, Inject } from '@nestjs/common';
import { type ImageRetired, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { Retirements } from '../adapters/retirements.js';
import { RemovalLoop } from '../distribution/removal-loop.js';

/**
 * Stores the retirement before it is acknowledged; the loop does the long work. The provisioner has made sure that no
 * container needs the version.
 */
@Controller()
export class ImageRetiredHandler {
  constructor(
    @Inject(Retirements) private readonly retirements: Retirements,
    @Inject(RemovalLoop) private readonly removals: RemovalLoop,
  ) {}

  @OnEvent(SUBJECTS.imageRetired)
  async handle(event: ReceivedEvent<ImageRetired>): Promise<void> {
    await this.retirements.add(event.data, event);
    this.removals.kick();
  }
}
