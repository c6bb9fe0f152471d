/** What the provisioner publishes about a version, for tests. */
import { desiredImage, type ImagePromoted, type ImageSource, type ProductionImage } from '@plinth/contracts';
import { newId, type EventPublisher } from '@plinth/service-kit';

/** @param changes e.g. another state, peers or seeds */
export function producedOf(
  promotion: ImagePromoted,
  changes: Partial<ProductionImage> = {},
  peers: readonly ImageSource[] = [],
): ProductionImage {
  const { sources, ...rest } = promotion;
  return {
    ...{ ...rest, state: 'promoted', promotionId: newId(), correlationId: 'request-1', seeds: [] },
    sources: [...sources.map((url): ImageSource => ({ url })), ...peers],
    ...changes,
  };
}

export async function publishProduction(publisher: EventPublisher, image: ProductionImage): Promise<void> {
  await publisher.publish({ subject: desiredImage(image.name, image.version), data: image });
}

/** One of which nothing is known but its end. */
export function ended(name: string, version: string, state: 'revoked' | 'retired'): ProductionImage {
  return { name, version, state, sources: [], seeds: [] };
}
