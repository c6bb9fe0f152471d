import { Controller, Inject } from '@nestjs/common';
import {
  type ImageRevocationRequested,
  type ImageRevoked,
  parseExactImageRef,
  SUBJECTS,
  versionNumber,
} from '@plinth/contracts';
import { claimEvent, OnEvent, Outbox, PermanentError, type ReceivedEvent } from '@plinth/service-kit';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { StatusReporter } from '../adapters/tools/status-reporter.js';
import { rejectionFact } from '../building/rejection-fact.js';
import { type ImageBuild, refOf } from '../domain/image-build.js';
import { decideRevocation } from '../domain/version-states.js';

/**
 * `image.revocation.requested` → `image.revoked` or `image.rejected`. The files stay: containers may still run
 * on them.
 */
@Controller()
export class RevocationRequestedHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(StatusReporter) private readonly statuses: StatusReporter,
  ) {}

  @OnEvent(SUBJECTS.imageRevocationRequested)
  async handle(event: ReceivedEvent<ImageRevocationRequested>): Promise<void> {
    const { image, reason } = event.data;
    const ref = parseExactImageRef(image);
    if (!ref) throw new PermanentError(`${image} passed its contract but is no exact image`);
    const facts = { aggregate: image, correlationId: event.correlationId, causationId: event.id };
    const revoked = await this.outbox.transact(async (manager, add): Promise<ImageBuild | undefined> => {
      if (!(await claimEvent(manager, SUBJECTS.imageRevocationRequested, event.id))) return undefined;
      const build = await this.catalogue.lock(manager, ref.name, versionNumber(ref.version));
      const decision = decideRevocation(build ? { ref: refOf(build), state: build.state } : undefined, image);
      if (!build || !decision.ok) {
        add({ ...facts, ...rejectionFact('revocation', event.id, ref, decision) });
        return undefined;
      }
      await this.catalogue.setRevoked(manager, build, reason);
      const data: ImageRevoked = { ...ref, reason };
      add({ ...facts, subject: SUBJECTS.imageRevoked, data });
      return build;
    });
    if (revoked) this.statuses.settled(revoked, 'revoked');
  }
}
