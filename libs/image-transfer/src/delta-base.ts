/** Which version that is here a new one is taken the difference from. */
import { type ImageManifest, versionNumber } from '@plinth/contracts';
import type { InstalledImages } from './installed-images.js';
import type { ImageVersion } from './domain/store-layout.js';

export interface DeltaBase {
  readonly image: ImageVersion;
  readonly directory: string;
  readonly manifest: ImageManifest;
}

/** @returns the complete version of the same name with the nearest number; undefined: there is none */
export async function findDeltaBase(images: InstalledImages, image: ImageVersion): Promise<DeltaBase | undefined> {
  const distance = ({ version }: ImageVersion): number =>
    Math.abs(versionNumber(version) - versionNumber(image.version));
  const [nearest] = (await images.list())
    .filter(({ image: other, standing }) => other.name === image.name && standing.state === 'complete')
    .map(({ image: other }) => other)
    .sort((one, other) => distance(one) - distance(other));
  if (!nearest) return undefined;
  return { image: nearest, directory: images.layout.version(nearest), manifest: await images.manifest(nearest) };
}
