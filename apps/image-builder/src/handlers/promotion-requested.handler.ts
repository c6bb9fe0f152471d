import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type ImagePromotionRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { Promotions } from '../building/promotions.js';

/** `image.promotion.requested` → `image.promoted` once the archive lies in production, or `image.rejected`. */
@Controller()
export class PromotionRequestedHandler {
  constructor(@Inject(Promotions) private readonly promotions: Promotions) {}

  @EventPattern<string>(SUBJECTS.imagePromotionRequested)
  async handle(event: ReceivedEvent<ImagePromotionRequested>): Promise<void> {
    await this.promotions.request(event);
  }
}
