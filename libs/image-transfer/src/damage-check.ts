/** Looks whether an installed version is as its manifest has it; one that is not is marked. */
import type { TreeProblem } from '@plinth/image-store';
import type { ImageVersion } from './domain/store-layout.js';
import type { InstalledImages } from './installed-images.js';
import type { ObjectDirectory } from './object-directory.js';

/**
 * Reads the version whole. A mark keeps containers from being started on it, until an installation has repaired it.
 * @param bytesPerSecond to read at most
 * @returns what is wrong; empty: nothing, or it is being removed or repaired
 */
export async function markIfDamaged(
  images: InstalledImages,
  objects: ObjectDirectory,
  image: ImageVersion,
  bytesPerSecond: number,
  signal: AbortSignal,
): Promise<readonly TreeProblem[]> {
  const [problems = []] = await objects.check([images.layout.version(image)], bytesPerSecond, signal);
  if (problems.length === 0) return [];
  const lock = images.tryLock(image);
  if (!lock) return [];
  try {
    if ((await images.find(image)).state !== 'complete') return [];
    await images.markDamaged(image, problems, new Date());
    return problems;
  } finally {
    lock.release();
  }
}
