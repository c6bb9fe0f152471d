/** The provisioner's view of an image version, assembled from facts that may arrive in any order. */
import type { ImageState } from '@plinth/contracts';

/** A fact moves a version forward only. */
export const STATE_RANK: Readonly<Record<ImageState, number>> = {
  building: 1,
  built: 2,
  tested: 3,
  promoted: 4,
  rejected: 5,
  revoked: 6,
  retired: 7,
};

export type ActivationRefusal = {
  readonly reason: 'image-not-found' | 'not-promoted' | 'revoked' | 'retired' | 'not-distributed';
  readonly message: string;
};

/** Whether a version may become a default. */
export function activationRefusal(
  image: { state: string; masters: number; ownStores: number } | undefined,
  ref: string,
): ActivationRefusal | undefined {
  if (!image)
    return { reason: 'image-not-found', message: `there is no image ${ref}; plinth image ls lists all images` };
  if (image.state === 'revoked' || image.state === 'retired')
    return { reason: image.state, message: `${ref} is ${image.state}` };
  if (image.state !== 'promoted')
    return {
      reason: 'not-promoted',
      message: `${ref} is ${image.state}; promote it first: plinth image promote ${ref}`,
    };
  // Hosts with stores of their own fetch what is in production.
  if (image.masters === 0 && image.ownStores === 0)
    return {
      reason: 'not-distributed',
      message:
        `no storage node holds ${ref} yet, and no host has a store of its own to fetch it to; ` +
        `plinth image show ${ref} lists the nodes that do`,
    };
  return undefined;
}
