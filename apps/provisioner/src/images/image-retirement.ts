/**
 * One version out of use for ever, in one transaction: lock it, check whether anything needs it, retire it, announce.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type ImageRetirementRequested, type ImageRetired, parseExactImageRef, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, Outbox, PermanentError, type ReceivedEvent } from '@plinth/service-kit';
import { loadUses, lockVersion, retireVersion } from './retirement.store.js';
import { stateRefusal, useRefusal } from './domain/image-retirement.js';

@Injectable()
export class ImageRetirement {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  async retire(event: ReceivedEvent<ImageRetirementRequested>): Promise<void> {
    const { image } = event.data;
    const ref = parseExactImageRef(image);
    if (!ref) throw new PermanentError('the image reference passed its contract but is not valid');
    const { name, version } = ref;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const state = await lockVersion(unit.db, name, version);
      const refusal = stateRefusal(image, state) ?? useRefusal(image, await loadUses(unit.db, name, version));
      if (refusal) {
        unit.refuse(SUBJECTS.imageRejected, { operation: 'retirement', ...refusal, name, version });
        return;
      }
      await retireVersion(unit.db, name, version);
      const data: ImageRetired = { name, version };
      unit.publish(SUBJECTS.imageRetired, data, { aggregate: `image:${name}` });
    });
  }
}
