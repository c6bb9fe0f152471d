import { Controller, Inject } from '@nestjs/common';
import { type ImageActivationRequested, parseExactImageRef, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, OnEvent, Outbox, PermanentError, type ReceivedEvent } from '@plinth/service-kit';
import { holdImage, isDefaultOs, setDefault } from '../images/image.store.js';
import { activationRefusal } from '../images/domain/image-read-model.js';
import { RolloutCreation } from './rollout-creation.js';
import { RolloutProgress } from './rollout-progress.js';

/** `image.activation.requested`: makes a version the default of its name, and its name the default OS. */
@Controller()
export class ImageActivationRequestedHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(RolloutCreation) private readonly rollouts: RolloutCreation,
    @Inject(RolloutProgress) private readonly progress: RolloutProgress,
  ) {}

  @OnEvent(SUBJECTS.imageActivationRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<ImageActivationRequested>): Promise<void> {
    const ref = parseExactImageRef(event.data.image);
    if (!ref) throw new PermanentError('the image reference passed its contract but is not valid');
    const { name, version } = ref;
    const defaultOs = event.data.defaultOs ?? true;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const refusal = activationRefusal(await holdImage(unit.db, name, version), event.data.image);
      if (refusal) {
        unit.refuse(SUBJECTS.imageRejected, { operation: 'activation', ...refusal, name, version });
        return;
      }
      const previous = await setDefault(unit.db, name, version, defaultOs);
      unit.publish(SUBJECTS.imageActivated, { name, version, previous, defaultOs }, { aggregate: `image:${name}` });
      if (!(await isDefaultOs(unit.db, name))) return;
      // Containers that follow the default move by a rollout with the defaults of one; none of them: there is none.
      await this.rollouts.start(unit, { select: { follow: 'default' }, to: event.data.image }, `${event.id}:follow`);
    });
    this.progress.kick();
  }
}
