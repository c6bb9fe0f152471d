import { Controller, Inject } from '@nestjs/common';
import { type ImagePromotionRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { Promotions } from '../building/promotions.js';

/** `image.promotion.requested` → `image.promoted` once the archive lies in production, or `image.rejected`. */
@Controller()
export class PromotionRequestedHandler {
  constructor(@Inject(Promotions) private readonly promotions: Promotions) {}

  @OnEvent(SUBJECTS.imagePromotionRequested)
  async handle(event: ReceivedEvent<ImagePromotionRequested>): Promise<void> {
    await this.promotions.request(event);
  }
}
