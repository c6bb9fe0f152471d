/** One version out of use for ever, in one transaction: lock it, look whether anything needs it, retire it, announce. */
import { Inject, Injectable } from '@nestjs/common';
import {
  type ImageRejected,
  type ImageRetirementRequested,
  type ImageRetired,
  parseExactImageRef,
  SUBJECTS,
} from '@plinth/contracts';
import { claimEvent, Outbox, PermanentError, type ReceivedEvent } from '@plinth/service-kit';
import { loadUses, lockVersion, retireVersion } from './retirement.store.js';
import { stateRefusal, useRefusal } from './domain/image-retirement.js';

@Injectable()
export class ImageRetirement {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  async retire(event: ReceivedEvent<ImageRetirementRequested>): Promise<void> {
    const { image } = event.data;
    const ref = parseExactImageRef(image);
    if (!ref) throw new PermanentError('the contract let an image reference through that is none');
    const { name, version } = ref;
    const cause = { correlationId: event.correlationId, causationId: event.id };
    await this.outbox.transact(async (manager, add) => {
      if (!(await claimEvent(manager, event.subject, event.id))) return;
      const state = await lockVersion(manager, name, version);
      const refusal = stateRefusal(image, state) ?? useRefusal(image, await loadUses(manager, name, version));
      if (refusal) {
        const data: ImageRejected = {
          operation: 'retirement',
          requestId: event.id,
          ...refusal,
          name,
          version,
          problems: [],
        };
        add({ subject: SUBJECTS.imageRejected, aggregate: `request:${event.id}`, data, ...cause });
        return;
      }
      await retireVersion(manager, name, version);
      const data: ImageRetired = { name, version };
      add({ subject: SUBJECTS.imageRetired, aggregate: `image:${name}`, data, ...cause });
    });
  }
}
