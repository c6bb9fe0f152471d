/**
 * A host's lease on the data volumes of a storage node: while it holds, no other host takes one of them over. Renewed
 * by writing a file on the node itself, so that a host which has lost only the bus keeps its containers.
 */

/** The leases that the guard has renewed, as stored in the host's state directory. */
export interface HeldLeases {
  readonly bootId: string;
  /** By storage node: milliseconds since the boot, suspended time counted. */
  readonly deadlines: Readonly<Record<string, number>>;
  /** By storage node: a random text, replaced whenever the lease is acquired again after it had run out. */
  readonly terms: Readonly<Record<string, string>>;
}

/** A lease of another boot is not held: its clock has restarted, and its containers are gone. */
export function holdsLease(
  leases: HeldLeases | undefined,
  bootId: string,
  storageNode: string,
  sinceBootMs: number,
): boolean {
  return leases?.bootId === bootId && sinceBootMs < (leases.deadlines[storageNode] ?? 0);
}

/** The host that may start a container on a volume. */
export interface VolumeHolder {
  /** null: the volume was released. */
  readonly host: string | null;
  /** Generation of the config by which the host took or released the volume. */
  readonly generation: number;
}

export interface VolumeClaim {
  readonly host: string;
  readonly generation: number;
  readonly takeovers: readonly { readonly from: string; readonly renewal: string }[];
}

export type ClaimDecision =
  | { readonly kind: 'hold' }
  /** No host holds it. */
  | { readonly kind: 'take' }
  /** A lost host holds it: the claim is written, then the lease must still have this renewal. */
  | { readonly kind: 'take-over'; readonly from: string; readonly renewal: string }
  | { readonly kind: 'refuse'; readonly message: string };

/** @param pending claim of a host that is about to take the volume over */
export function decideClaim(
  holder: VolumeHolder | undefined,
  pending: VolumeHolder | undefined,
  claim: VolumeClaim,
): ClaimDecision {
  if (pending?.host && pending.host !== claim.host && pending.generation > claim.generation) {
    return { kind: 'refuse', message: `${pending.host} is taking the volume over` };
  }
  if (!holder) return { kind: 'take' };
  if (holder.host === claim.host) return { kind: 'hold' };
  if (holder.generation > claim.generation)
    return { kind: 'refuse', message: `the volume has since been moved to another host` };
  if (holder.host === null) return { kind: 'take' };
  const takeover = claim.takeovers.findLast(({ from }) => from === holder.host);
  if (!takeover) return { kind: 'refuse', message: `${holder.host} holds the volume and has not released it` };
  return { kind: 'take-over', ...takeover };
}
