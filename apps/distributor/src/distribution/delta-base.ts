/** Which version of this node a new one is taken the difference from. */
import { type ImageManifest, versionNumber } from '@plinth/contracts';
import type { MasterRepository } from '../adapters/master-repository.js';
import type { ImageVersion } from '../domain/storage-layout.js';

export interface DeltaBase {
  readonly image: ImageVersion;
  readonly directory: string;
  readonly manifest: ImageManifest;
}

/** @returns the complete version of the same name with the nearest number; undefined: there is none */
export async function findDeltaBase(masters: MasterRepository, image: ImageVersion): Promise<DeltaBase | undefined> {
  const distance = ({ version }: ImageVersion): number =>
    Math.abs(versionNumber(version) - versionNumber(image.version));
  const [nearest] = (await masters.list())
    .filter(({ image: other, standing }) => other.name === image.name && standing.state === 'complete')
    .map(({ image: other }) => other)
    .sort((one, other) => distance(one) - distance(other));
  if (!nearest) return undefined;
  return { image: nearest, directory: masters.layout.version(nearest), manifest: await masters.manifest(nearest) };
}
