/** What a storage node does about a version that is or was in production. */
import { isTarget, type ImagePromoted, type ProductionImage } from '@plinth/contracts';
import type { StorageNode } from './targeting.js';

/** What the node knows of the version. */
export interface Known {
  /** An installation waits or is in progress. */
  readonly isWanted: boolean;
  /** Absent: nothing of it stands here. `other`: damaged, or of another content. */
  readonly standing: 'absent' | 'same' | 'other';
  readonly isRevoked: boolean;
  /** It is never installed here again. */
  readonly isRetired: boolean;
  /** The promotion for which it was installed, or given up. */
  readonly settled?: string | undefined;
}

export type ProductionStep = 'install' | 'revoke' | 'retire' | 'nothing';

export function productionStep(image: ProductionImage, node: StorageNode, known: Known): ProductionStep {
  const isHere = known.isWanted || known.standing !== 'absent';
  switch (image.state) {
    case 'retired':
      // A version that was never here needs no mark: only what is promoted is installed.
      return isHere ? 'retire' : 'nothing';
    case 'revoked':
      return isHere && !known.isRevoked ? 'revoke' : 'nothing';
    case 'promoted': {
      if (known.isRetired || known.isRevoked || !isTarget(node, image.to)) return 'nothing';
      return image.promotionId !== undefined && known.settled === image.promotionId ? 'nothing' : 'install';
    }
  }
}

/** @returns undefined for one that lacks what an installation needs */
export function promotionOf(image: ProductionImage): ImagePromoted | undefined {
  const { name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes, unpackedBytes = 0 } = image;
  if (!contentDigest || !manifestDigest || !archiveDigest || !archiveBytes) return undefined;
  const sources = image.sources.flatMap(({ url, node }) => (node === undefined ? [url] : []));
  return {
    ...{ name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes, unpackedBytes, sources },
    ...(image.architecture !== undefined && { architecture: image.architecture }),
    ...(image.to && { to: image.to }),
  };
}
