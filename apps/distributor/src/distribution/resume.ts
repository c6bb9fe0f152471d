/** What a former life left on the disk: made whole, or cleaned. */
import type { MasterRepository } from '../adapters/master-repository.js';
import type { Retirements } from '../adapters/retirements.js';
import type { Staging } from '../adapters/staging.js';
import type { WantedStore } from '../adapters/wanted-store.js';

/** Before anything new is taken. Only downloads of images that are still wanted stay. */
export async function resume(
  masters: MasterRepository,
  staging: Staging,
  wanted: WantedStore,
  retirements: Retirements,
): Promise<void> {
  await staging.prepare();
  await wanted.tidy(Date.now());
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
