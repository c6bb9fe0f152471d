import { Controller, Inject } from '@nestjs/common';
import {
  type ImageBuilding,
  type ImageBuilt,
  type ImagePromoted,
  type ImageRejected,
  type ImageRevoked,
  type ImageTested,
  SUBJECTS,
} from '@plinth/contracts';
import { causeOf, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { type ImageChange, recordImage } from './image.store.js';
import { recordPromotion } from './production.store.js';
import { retirementsToRepeat } from './retirement.store.js';

/** Keeps the read model of images; recording the same fact twice changes nothing, so no inbox is needed. */
@Controller()
export class ImageFactsHandler {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  @OnEvent(SUBJECTS.imageBuilding)
  async building({ data }: ReceivedEvent<ImageBuilding>): Promise<void> {
    await this.record({ name: data.name, version: data.version, state: 'building' });
  }

  @OnEvent(SUBJECTS.imageBuilt)
  async built({ data }: ReceivedEvent<ImageBuilt>): Promise<void> {
    const { name, version, contentDigest, archiveBytes, unpackedBytes, parent } = data;
    await this.record({ name, version, state: 'built', contentDigest, archiveBytes, unpackedBytes, parent });
  }

  @OnEvent(SUBJECTS.imageTested)
  async tested({ data }: ReceivedEvent<ImageTested>): Promise<void> {
    await this.record({ name: data.name, version: data.version, state: 'tested', contentDigest: data.contentDigest });
  }

  @OnEvent(SUBJECTS.imagePromoted)
  async promoted(event: ReceivedEvent<ImagePromoted>): Promise<void> {
    const { name, version, contentDigest, archiveBytes, unpackedBytes, architecture } = event.data;
    await this.outbox.work(causeOf(event), async (unit) => {
      const known = { contentDigest, archiveBytes, unpackedBytes, architecture };
      await recordImage(unit.db, { name, version, state: 'promoted', ...known });
      await recordPromotion(unit.db, event.data, event);
      // The service that promoted the version, or reports it, has not received its retirement.
      for (const image of await retirementsToRepeat(unit.db, [{ name, version }])) {
        unit.publish(SUBJECTS.imageRetired, image, { aggregate: `image:${image.name}` });
      }
    });
  }

  @OnEvent(SUBJECTS.imageRevoked)
  async revoked({ data }: ReceivedEvent<ImageRevoked>): Promise<void> {
    await this.record({ name: data.name, version: data.version, state: 'revoked', message: data.reason });
  }

  /** Only a failed build ends a version; a refused promotion leaves it as it was. */
  @OnEvent(SUBJECTS.imageRejected)
  async rejected({ data }: ReceivedEvent<ImageRejected>): Promise<void> {
    if (data.operation !== 'build' || data.name === undefined || data.version === undefined) return;
    await this.record({ name: data.name, version: data.version, state: 'rejected', message: data.message });
  }

  private record(change: ImageChange): Promise<void> {
    return this.outbox.transact((manager) => recordImage(manager, change));
  }
}
