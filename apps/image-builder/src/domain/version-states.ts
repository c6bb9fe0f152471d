/** The states of one image version, and the requests that each allows. */
import type { ImageRejectionReason } from '@plinth/contracts';

export const BUILD_STATES = [
  'queued',
  'building',
  'built',
  'tested',
  'promoting',
  'promoted',
  'revoked',
  'rejected',
  'retired',
] as const;
export type BuildState = (typeof BUILD_STATES)[number];

/** A builder has work to do on a version in one of these. */
export const ACTIVE_STATES: readonly BuildState[] = ['queued', 'building', 'built'];

export interface Refusal {
  readonly reason: ImageRejectionReason;
  readonly message: string;
}

export type Decision<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export interface Promotable {
  readonly ref: string;
  readonly state: BuildState;
  /** Storage nodes to which it was promoted so far; absent: all. */
  readonly promotedTo?: readonly string[];
}

/**
 * `move`: from the testing to the production repository; `announce`: it lies there, and is to reach other storage
 * nodes.
 */
export type PromotionStep = 'move' | 'announce';

export function decidePromotion(
  image: Promotable | undefined,
  ref: string,
  to: readonly string[] | undefined,
): Decision<PromotionStep> {
  if (!image) return refuse('image-not-found', `there is no image ${ref}; see the list of images`);
  switch (image.state) {
    case 'tested':
      return { ok: true, value: 'move' };
    case 'promoting':
      return refuse('already-promoted', `${ref} is being promoted by another request`);
    case 'promoted':
      if (sameReach(image.promotedTo, to))
        return refuse(
          'already-promoted',
          `${ref} is in production already; activate it to make it the default, ` +
            'or name other storage nodes to send it there too',
        );
      return { ok: true, value: 'announce' };
    case 'revoked':
      return refuse('revoked', `${ref} was revoked; build and promote a new version`);
    case 'retired':
      return refuse('retired', `${ref} is retired, and its files are gone; build and promote a new version`);
    case 'rejected':
      return refuse('not-tested', `${ref} was rejected and nothing of it is left; build it again`);
    default:
      return refuse(
        'not-tested',
        `${ref} has not passed its tests yet (it is ${image.state}); promote it after image.tested`,
      );
  }
}

export function decideRevocation(image: Promotable | undefined, ref: string): Decision<null> {
  if (!image) return refuse('image-not-found', `there is no image ${ref}; see the list of images`);
  switch (image.state) {
    case 'tested':
    case 'promoting':
    case 'promoted':
      return { ok: true, value: null };
    case 'revoked':
      return refuse('revoked', `${ref} is revoked already`);
    case 'retired':
      return refuse('retired', `${ref} is retired: no container can be started on it anyway`);
    case 'rejected':
      return refuse('image-not-found', `${ref} was rejected; nothing of it is left to revoke`);
    default:
      return refuse('not-tested', `${ref} is not finished yet (it is ${image.state}); revoke it after image.tested`);
  }
}

/** Whether a new image may be built on this one. */
export function decideParent(image: Promotable | undefined, ref: string): Decision<null> {
  if (!image) return refuse('parent-not-found', `the recipe builds on ${ref}, which does not exist; build it first`);
  if (image.state === 'revoked')
    return refuse('revoked', `the recipe builds on ${ref}, which was revoked; name another version`);
  if (image.state === 'retired')
    return refuse('retired', `the recipe builds on ${ref}, which is retired; name another version`);
  if (image.state === 'tested' || image.state === 'promoting' || image.state === 'promoted')
    return { ok: true, value: null };
  return refuse(
    'parent-not-found',
    `the recipe builds on ${ref}, which has not passed its tests (it is ${image.state})`,
  );
}

/**
 * Whether a finished image may be inspected.
 * @param state undefined: there is no such version, or none of the name that could be used
 */
export function inspectionRefusal(state: BuildState | undefined, ref: string): Refusal | undefined {
  if (state === undefined)
    return {
      reason: 'image-not-found',
      message: `there is no finished image ${ref}; see the list of images`,
    };
  if (state === 'retired') return { reason: 'retired', message: `${ref} is retired, and its files are gone` };
  if (state === 'rejected')
    return { reason: 'image-not-found', message: `${ref} was rejected, and nothing of it is left` };
  if (state === 'queued' || state === 'building')
    return { reason: 'not-tested', message: `${ref} is not built yet (it is ${state})` };
  return undefined;
}

function sameReach(before: readonly string[] | undefined, now: readonly string[] | undefined): boolean {
  if (before === undefined) return now === undefined;
  return (
    now !== undefined &&
    now.length === before.length &&
    [...now].sort().every((item, index) => item === [...before].sort()[index])
  );
}

function refuse(reason: ImageRejectionReason, message: string): { ok: false; refusal: Refusal } {
  return { ok: false, refusal: { reason, message } };
}
