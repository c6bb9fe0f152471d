/** Which places there are for containers: the values of a label that hosts have. */
import type { LabelConstraint } from '@plinth/contracts';
import { type Labelled, labelOf, meets } from './labels.js';

/** Hosts on which a container may be at all. */
export interface Where {
  readonly datacenter?: string | undefined;
  readonly constraints?: readonly LabelConstraint[] | undefined;
}

/** Goes through the hosts once for each question, however often it is asked. */
export class Places {
  private readonly known = new Map<string, ReadonlySet<string>>();

  /** @param hosts all that get containers, as far as is known */
  constructor(private readonly hosts: readonly Labelled[]) {}

  /** Values of the label `over` where the container may be; hosts without it are no place. */
  of(over: string, { datacenter, constraints = [] }: Where): ReadonlySet<string> {
    const key = JSON.stringify([over, datacenter, constraints]);
    const known = this.known.get(key);
    if (known) return known;
    const places = new Set<string>();
    for (const host of this.hosts) {
      const place = labelOf(host, over);
      if (place === undefined || (datacenter !== undefined && host.datacenter !== datacenter)) continue;
      if (constraints.every((constraint) => meets(host, constraint))) places.add(place);
    }
    this.known.set(key, places);
    return places;
  }
}
