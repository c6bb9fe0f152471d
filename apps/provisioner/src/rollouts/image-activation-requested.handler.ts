import { Controller, Inject } from '@nestjs/common';
import { type ImageActivationRequested, type ImageRejected, parseExactImageRef, SUBJECTS } from '@plinth/contracts';
import { claimEvent, OnEvent, Outbox, PermanentError, type ReceivedEvent } from '@plinth/service-kit';
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
    if (!ref) throw new PermanentError('the contract let an image reference through that is none');
    const { name, version } = ref;
    const defaultOs = event.data.defaultOs ?? true;
    const cause = { correlationId: event.correlationId, causationId: event.id };
    await this.outbox.transact(async (manager, add) => {
      if (!(await claimEvent(manager, event.subject, event.id))) return;
      const refusal = activationRefusal(await holdImage(manager, name, version), event.data.image);
      if (refusal) {
        const data: ImageRejected = {
          operation: 'activation',
          requestId: event.id,
          ...refusal,
          name,
          version,
          problems: [],
        };
        add({ subject: SUBJECTS.imageRejected, aggregate: `request:${event.id}`, data, ...cause });
        return;
      }
      const previous = await setDefault(manager, name, version, defaultOs);
      add({
        subject: SUBJECTS.imageActivated,
        aggregate: `image:${name}`,
        data: { name, version, previous, defaultOs },
        ...cause,
      });
      if (!(await isDefaultOs(manager, name))) return;
      // Containers that follow the default move by a rollout with the defaults of one; none of them: there is none.
      await this.rollouts.start(
        manager,
        add,
        { select: { follow: 'default' }, to: event.data.image },
        `${event.id}:follow`,
        event.correlationId,
      );
    });
    this.progress.kick();
  }
}
