/**
 * Places that askers share. Each has a bound of its own, and when all are taken, the group of askers that holds most of
 * them gives its oldest one up for a group that holds fewer. Pure.
 */
export interface Occupant {
  /** A tenant: more askers of one get no more places. */
  readonly group: string;
  readonly asker: string;
  /** It has lost its place. */
  evict(): void;
}

export class FairPlaces {
  private readonly groups = new Map<string, Set<Occupant>>();
  private readonly askers = new Map<string, number>();
  private taken = 0;

  constructor(
    private readonly total: number,
    private readonly perAsker: number,
  ) {}

  get size(): number {
    return this.taken;
  }

  /** @returns false: its asker or group holds enough */
  take(occupant: Occupant): boolean {
    const { group, asker } = occupant;
    const mine = this.groups.get(group);
    if ((this.askers.get(asker) ?? 0) >= this.perAsker) return false;
    if (this.taken >= this.total) {
      const heaviest = this.heaviest();
      // One more than the next would only pass the place to and fro.
      if (heaviest === undefined || heaviest.size <= (mine?.size ?? 0) + 1) return false;
      const [oldest] = heaviest;
      if (oldest) {
        this.release(oldest);
        oldest.evict();
      }
    }
    if (mine && this.groups.has(group)) mine.add(occupant);
    else this.groups.set(group, new Set([occupant]));
    this.askers.set(asker, (this.askers.get(asker) ?? 0) + 1);
    this.taken += 1;
    return true;
  }

  /** Also when it has no place any more. */
  release(occupant: Occupant): void {
    const { group, asker } = occupant;
    const there = this.groups.get(group);
    if (!there?.delete(occupant)) return;
    if (there.size === 0) this.groups.delete(group);
    const left = (this.askers.get(asker) ?? 1) - 1;
    if (left > 0) this.askers.set(asker, left);
    else this.askers.delete(asker);
    this.taken -= 1;
  }

  private heaviest(): Set<Occupant> | undefined {
    let found: Set<Occupant> | undefined;
    for (const group of this.groups.values()) if (group.size > (found?.size ?? 0)) found = group;
    return found;
  }
}
