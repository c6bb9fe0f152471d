import { Controller, Inject } from '@nestjs/common';
import { type ImageRetirementRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ImageRetirement } from './image-retirement.js';

/** `image.retirement.requested` → `image.retired` when nothing needs the version any more, else `image.rejected`. */
@Controller()
export class ImageRetirementRequestedHandler {
  constructor(@Inject(ImageRetirement) private readonly retirement: ImageRetirement) {}

  @OnEvent(SUBJECTS.imageRetirementRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<ImageRetirementRequested>): Promise<void> {
    await this.retirement.retire(event);
  }
}
