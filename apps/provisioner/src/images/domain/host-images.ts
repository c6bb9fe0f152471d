/** What the store of a host is to hold besides what its containers need: pure. */
import { type AheadReason, type HostImages, type ImageCacheOperation, MAX_HOST_IMAGES } from '@plinth/contracts';

/** Versions that are in production; of `evict`, those that the host still has. */
export interface HostWishes {
  readonly host: string;
  readonly pin: readonly string[];
  readonly evict: readonly string[];
  readonly default: readonly string[];
  readonly rollout: readonly string[];
  readonly prefetch: readonly string[];
}

export function hostImages(wishes: HostWishes): HostImages {
  const named = new Set([...wishes.pin, ...wishes.evict]);
  const ahead = (['default', 'rollout', 'prefetch'] as const).flatMap((reason: AheadReason) =>
    [...wishes[reason]].sort().flatMap((image) => {
      if (named.has(image)) return [];
      named.add(image);
      return [{ image, reason }];
    }),
  );
  const most = (images: readonly string[]): string[] => [...images].sort().slice(0, MAX_HOST_IMAGES);
  return {
    host: wishes.host,
    pinned: most(wishes.pin),
    ahead: ahead.slice(0, MAX_HOST_IMAGES),
    evict: most(wishes.evict),
  };
}

export type CacheRefusal = {
  readonly reason: 'image-not-found' | 'not-promoted' | 'revoked' | 'retired';
  readonly message: string;
};

/** Whether hosts may be asked to hold a version, or no longer to. @param state undefined: there is no such version */
export function cacheRefusal(
  operation: ImageCacheOperation,
  state: string | undefined,
  ref: string,
): CacheRefusal | undefined {
  if (state === undefined)
    return { reason: 'image-not-found', message: `there is no image ${ref}; plinth image ls lists all images` };
  if (operation === 'unpin' || operation === 'evict' || state === 'promoted') return undefined;
  if (state === 'revoked' || state === 'retired') return { reason: state, message: `${ref} is ${state}` };
  return { reason: 'not-promoted', message: `${ref} is ${state}; promote it first: plinth image promote ${ref}` };
}
