/** Whether a version of an image may be retired: removed from every storage node, never to be used again. */
import type { ImageRejectionReason } from '@plinth/contracts';

/** The uses of a version; each container is counted once. */
export interface ImageUses {
  /** Whether it is the default version of its name. */
  readonly isDefault: boolean;
  /** Containers on it: by their config, or by their host's last report. */
  readonly running: number;
  /** Containers on trial on another version, which are reverted to this one if the trial fails. */
  readonly returning: number;
  /** Containers that have it as known good. */
  readonly knownGood: number;
  /** Names of some of these containers. */
  readonly examples: readonly string[];
  /** Ids of rollouts that have not ended and have it as target or origin. */
  readonly rollouts: readonly string[];
}

export interface RetirementRefusal {
  readonly reason: ImageRejectionReason;
  readonly message: string;
}

/** Decides by the state alone. Images that were built from the version do not need it: each holds its whole tree. */
export function stateRefusal(ref: string, state: string | undefined): RetirementRefusal | undefined {
  if (state === undefined)
    return { reason: 'image-not-found', message: `there is no image ${ref}; plinth image ls lists all images` };
  if (state === 'retired') return { reason: 'retired', message: `${ref} is retired already` };
  if (state === 'promoted' || state === 'revoked') return undefined;
  return {
    reason: 'not-promoted',
    message: `${ref} is ${state}: it was never in production, so no storage node holds it`,
  };
}

export function useRefusal(ref: string, uses: ImageUses): RetirementRefusal | undefined {
  const next = `plinth image blast-radius ${ref} lists what needs it`;
  if (uses.isDefault)
    return { reason: 'default-image', message: `${ref} is the default version of its name; activate another first` };
  const { running, returning, knownGood, examples, rollouts } = uses;
  const needing = running + returning + knownGood;
  if (needing > 0) {
    const parts = [
      ...(running > 0 ? [`${count(running)} on it`] : []),
      ...(returning > 0 ? [`${count(returning)} going back to it when an update fails`] : []),
      ...(knownGood > 0 ? [`${count(knownGood)} that ${knownGood === 1 ? 'has' : 'have'} it as known good`] : []),
    ];
    const names = `${examples.join(', ')}${needing > examples.length ? ', …' : ''}`;
    return { reason: 'in-use', message: `${ref} is needed by ${parts.join(', ')} (${names}); ${next}` };
  }
  const [rollout] = rollouts;
  if (rollout === undefined) return undefined;
  const more = rollouts.length > 1 ? ` and ${rollouts.length - 1} more` : '';
  return {
    reason: 'in-rollout',
    message:
      `${ref} is the target or the origin of rollout ${rollout}${more}, which has not ended; ` +
      `plinth rollout show ${rollout} shows its progress`,
  };
}

function count(containers: number): string {
  return containers === 1 ? '1 container' : `${containers} containers`;
}
