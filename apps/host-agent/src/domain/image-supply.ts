/**
 * What a host's own store is to hold: what is fetched next, what goes when there is no room, what goes in any case.
 * Pure. Images are named `name@version`.
 */
import type { ContainerFailureReason, DistributionFailureReason, ProductionImage } from '@plinth/contracts';
import type { StartFailure } from './start-failure.js';

/** What the containers of this host need. */
export interface ImageUses {
  /** Of containers that are to run: fetched when they are missing, in this order. */
  readonly needed: ReadonlySet<string>;
  /** Named by a config, known good for one, or running: never removed. */
  readonly inUse: ReadonlySet<string>;
}

/** What the store is to hold besides. */
export interface ImageWishes {
  readonly pinned: ReadonlySet<string>;
  /** Of `ahead`, what a rollout waits for. */
  readonly awaited: ReadonlySet<string>;
  readonly ahead: ReadonlySet<string>;
  /** Removed unless a container uses them. */
  readonly evict: ReadonlySet<string>;
}

export const NO_WISHES: ImageWishes = {
  pinned: new Set(),
  awaited: new Set(),
  ahead: new Set(),
  evict: new Set(),
};

/** Of all fills at once, so many that nothing waits for. */
const AHEAD_AT_ONCE = 1;

export interface FillSituation {
  readonly uses: ImageUses;
  readonly wishes: ImageWishes;
  /** Whole, and not known to be damaged. */
  readonly isHeld: (image: string) => boolean;
  readonly inProgress: ReadonlySet<string>;
  /** Fills at once: one that stalls must not hold up the others. */
  readonly most: number;
  /** Milliseconds until something may be fetched that nothing waits for. */
  readonly windowInMs: number;
  /** Milliseconds until a try is due; undefined: there is nothing to try. */
  readonly dueInMs: (image: string) => number | undefined;
}

export interface NextFills {
  readonly now: readonly string[];
  /** Until another one is due; undefined: none will be. */
  readonly afterMs?: number;
}

/** What a container waits for comes first, then what a rollout waits for, what is pinned, what is wished ahead. */
export function nextFills(situation: FillSituation): NextFills {
  const { uses, wishes, isHeld, inProgress, dueInMs } = situation;
  const isAwaited = (image: string): boolean => uses.needed.has(image) || wishes.awaited.has(image);
  let places = situation.most - inProgress.size;
  let ahead = AHEAD_AT_ONCE - [...inProgress].filter((image) => !isAwaited(image)).length;
  const now: string[] = [];
  let afterMs: number | undefined;
  for (const image of new Set([...uses.needed, ...wishes.awaited, ...wishes.pinned, ...wishes.ahead])) {
    if (isHeld(image) || inProgress.has(image)) continue;
    const due = dueInMs(image);
    if (due === undefined) continue;
    const dueMs = isAwaited(image) ? due : Math.max(due, situation.windowInMs);
    if (dueMs > 0) afterMs = Math.min(dueMs, afterMs ?? Infinity);
    else if (places > 0 && (isAwaited(image) || ahead > 0)) {
      places--;
      if (!isAwaited(image)) ahead--;
      now.push(image);
    }
  }
  return { now, ...(afterMs !== undefined && { afterMs }) };
}

export interface HeldImage {
  readonly image: string;
  /** The last start on it, or its installation; milliseconds since the epoch. */
  readonly lastUsedMs: number;
  readonly damaged: boolean;
}

/**
 * What may be removed to make room, the least valuable first. What is wished ahead goes last, and only for an image
 * that a container waits for.
 */
export function removable(
  held: readonly HeldImage[],
  uses: ImageUses,
  wishes: ImageWishes,
  isNeeded: boolean,
): readonly string[] {
  const isWished = (image: string): boolean => wishes.ahead.has(image);
  return held
    .filter(({ image }) => !uses.inUse.has(image) && !wishes.pinned.has(image) && (isNeeded || !isWished(image)))
    .sort((a, b) => Number(isWished(a.image)) - Number(isWished(b.image)) || a.lastUsedMs - b.lastUsedMs)
    .map(({ image }) => image);
}

/** What is removed although there is room, and why. */
export function unneeded(
  held: readonly HeldImage[],
  uses: ImageUses,
  wishes: ImageWishes,
  stateOf: (image: string) => ProductionImage['state'] | undefined,
): readonly { readonly image: string; readonly why: string }[] {
  return held.flatMap(({ image, damaged }) => {
    if (uses.inUse.has(image)) return [];
    const state = stateOf(image);
    if (state === 'retired' || state === 'revoked') return [{ image, why: `it is ${state}` }];
    // A fresh copy is fetched when it is wished for.
    if (damaged) return [{ image, why: 'it is damaged, and nothing uses it' }];
    return wishes.evict.has(image) ? [{ image, why: 'its removal was requested' }] : [];
  });
}

/** Bytes. */
export interface Room {
  /** Of all files in the store. */
  readonly used: number;
  /** Most that they may be. */
  readonly budget: number;
  /** Of the file system. */
  readonly free: number;
  /** Of the file system, for everything else on it. */
  readonly kept: number;
  /** For fills in progress. */
  readonly reserved: number;
}

/** @returns bytes that have to go first; 0 or less: there is room */
export function lackingBytes(room: Room, need: { readonly store: number; readonly disk: number }): number {
  return Math.max(
    room.used + room.reserved + need.store - room.budget,
    need.disk + room.reserved + room.kept - room.free,
  );
}

const START_REASONS: Readonly<Partial<Record<DistributionFailureReason, ContainerFailureReason>>> = {
  'no-space': 'no-space',
  'unknown-key': 'image-untrusted',
  'bad-signature': 'image-untrusted',
  'manifest-mismatch': 'image-mismatch',
  'bad-manifest': 'image-mismatch',
  'bad-archive': 'image-mismatch',
};

const ADVICE: Readonly<Partial<Record<DistributionFailureReason, string>>> = {
  'no-space': 'raise PLINTH_IMAGE_CACHE_BYTES, enlarge the file system, or remove containers of other versions',
  'unknown-key': 'bring the public key to the directory of PLINTH_TRUSTED_KEYS',
  'repository-unreachable': 'make a source of the image reachable from this host',
  'repository-refused': 'check PLINTH_DOWNLOAD_TOKEN_FILE',
};

/** Why a container that waits for an image can't start. */
export function startFailure(
  image: string,
  { reason, message }: { readonly reason: DistributionFailureReason; readonly message: string },
): StartFailure {
  const advice = ADVICE[reason];
  return {
    reason: START_REASONS[reason] ?? 'image-unavailable',
    message: `${image} could not be fetched (${reason}): ${message}${advice === undefined ? '' : `; ${advice}`}`,
  };
}

/** An image that a container needs and this host does not have. */
export interface MissingImage {
  /** Why the last try failed; absent: none has so far. */
  readonly failure?: StartFailure;
  /** Until the next try; absent: there is none. */
  readonly retryInMs?: number;
}

/** Whether an update waits no longer for its image, and is refused. */
export function isGivenUp({ failure, retryInMs }: MissingImage): boolean {
  return failure !== undefined && retryInMs === undefined;
}
