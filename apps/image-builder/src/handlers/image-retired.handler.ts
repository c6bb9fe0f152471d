import { Controller, Inject } from '@nestjs/common';
import { type ImageRetired, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { Retirements } from '../building/retirements.js';

/** `image.retired`: nothing needs the version any more, so its archive is removed. */
@Controller()
export class ImageRetiredHandler {
  constructor(@Inject(Retirements) private readonly retirements: Retirements) {}

  @OnEvent(SUBJECTS.imageRetired)
  async handle(event: ReceivedEvent<ImageRetired>): Promise<void> {
    await this.retirements.retire(event);
  }
}
