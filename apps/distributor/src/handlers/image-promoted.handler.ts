import { Controller, Inject } from '@nestjs/common';
import { type ImagePromoted, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { WantedStore } from '../adapters/wanted-store.js';
import { DistributionLoop } from '../distribution/distribution-loop.js';
import { concerns, type StorageNode } from '../domain/targeting.js';
import { STORAGE_NODE } from '../tokens.js';
import { want } from '../domain/wanted-image.js';

/** Stores the promotion before it is acknowledged; the loop does the long work. */
@Controller()
export class ImagePromotedHandler {
  constructor(
    @Inject(STORAGE_NODE) private readonly node: StorageNode,
    @Inject(WantedStore) private readonly wanted: WantedStore,
    @Inject(DistributionLoop) private readonly loop: DistributionLoop,
  ) {}

  @OnEvent(SUBJECTS.imagePromoted)
  async handle(event: ReceivedEvent<ImagePromoted>): Promise<void> {
    if (!concerns(this.node, event.data.to)) return;
    await this.wanted.add(want(event.data, event, new Date()));
    this.loop.kick();
  }
}
