import { Controller, Inject } from '@nestjs/common';
import { type ImageRevoked, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { Revocations } from '../adapters/revocations.js';

/** Stores the revocation. The master stays, because containers may run on it. */
@Controller()
export class ImageRevokedHandler {
  constructor(@Inject(Revocations) private readonly revocations: Revocations) {}

  @OnEvent(SUBJECTS.imageRevoked)
  async handle(event: ReceivedEvent<ImageRevoked>): Promise<void> {
    await this.revocations.add(event.data, event.time);
  }
}
