/** Completes or removes what earlier processes have left on the disk. */
import { Inject, Injectable } from '@nestjs/common';
import { InstalledImages, Staging } from '@plinth/image-transfer';
import { ProductionRecords } from '../adapters/production-records.js';
import { Retirements } from '../adapters/retirements.js';
import { WantedStore } from '../adapters/wanted-store.js';

@Injectable()
export class Resumption {
  constructor(
    @Inject(InstalledImages) private readonly masters: InstalledImages,
    @Inject(Staging) private readonly staging: Staging,
    @Inject(WantedStore) private readonly wanted: WantedStore,
    @Inject(ProductionRecords) private readonly records: ProductionRecords,
    @Inject(Retirements) private readonly retirements: Retirements,
  ) {}

  /** Runs before new work. Only downloads of images that are still wanted stay. */
  async start(): Promise<void> {
    const { masters, staging, wanted, retirements } = this;
    await staging.prepare();
    await wanted.tidy(Date.now());
    await this.records.tidy(Date.now());
    await retirements.tidy(Date.now());
    await wanted.holdReserve((await masters.space()).freeBytes);
    const references = new Set<string>();
    for (const file of await wanted.list()) {
      const image = await wanted.read(file);
      if (image && (image.report === undefined || image.report.retryInMs !== undefined))
        references.add(`${image.promotion.name}@${image.promotion.version}`);
    }
    await staging.cleanLeftovers(({ name, version }) => references.has(`${name}@${version}`));
  }
}
