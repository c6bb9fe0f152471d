/** Hosts in the order of what is reserved on them, kept up to date while a plan moves containers about. */
import type { CandidateHost, Resources } from '../../placement/domain/placement.js';
import { usedShare } from '../../placement/domain/scorers.js';

/** One host as the plan has left it so far. */
export class PlannedHost {
  /** All orders that it is in. */
  readonly orders: UseOrder[] = [];
  use: number;

  constructor(public now: CandidateHost) {
    this.use = usedShare(now);
  }

  /** @param by 1: one more container, -1: one less */
  change(resources: Resources, by: 1 | -1): void {
    for (const order of this.orders) order.remove(this);
    this.now = changed(this.now, resources, by);
    this.use = usedShare(this.now);
    for (const order of this.orders) order.insert(this);
  }
}

/** The host with one container more or less. */
export function changed(host: CandidateHost, { memoryBytes, cpus }: Resources, by: 1 | -1): CandidateHost {
  const { allocated } = host;
  return {
    ...host,
    allocated: {
      memoryBytes: Math.max(0, allocated.memoryBytes + by * memoryBytes),
      cpus: Math.max(0, allocated.cpus + by * cpus),
      containers: Math.max(0, allocated.containers + by),
    },
  };
}

/** The least used first; of equal ones by name. */
export class UseOrder {
  readonly hosts: PlannedHost[];

  constructor(hosts: Iterable<PlannedHost>) {
    this.hosts = [...hosts].sort(compare);
    for (const host of this.hosts) host.orders.push(this);
  }

  remove(host: PlannedHost): void {
    this.hosts.splice(this.placeOf(host), 1);
  }

  insert(host: PlannedHost): void {
    this.hosts.splice(this.placeOf(host), 0, host);
  }

  /** Where the host is, or would be. */
  private placeOf(host: PlannedHost): number {
    let low = 0;
    let high = this.hosts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const there = this.hosts[middle];
      if (there && compare(there, host) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compare(a: PlannedHost, b: PlannedHost): number {
  return a.use - b.use || (a.now.host < b.now.host ? -1 : a.now.host > b.now.host ? 1 : 0);
}
