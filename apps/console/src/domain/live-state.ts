/**
 * The present state as the bus published it, and what of it changed since a position. Positions are the sequences of
 * the bus's own stream, so that those of one copy of the console mean the same to another. Pure.
 */
import type { Topic, ValueOf } from './topics.js';

export type Entry<T extends Topic = Topic> = {
  [K in Topic]: {
    readonly topic: K;
    readonly key: string;
    readonly sequence: number;
    /** null: it is gone. */
    readonly value: ValueOf[K] | null;
    /** Of what is gone: what it was, for those who saw it. */
    readonly was?: ValueOf[K];
  };
}[T];

/** Changes that are found without a look at everything. */
const LOG_LENGTH = 20_000;
/** What is gone and still known, at the most. */
const MOST_GONE = 20_000;

export class LiveState {
  private readonly entries = new Map<string, Entry>();
  private log: Entry[] = [];
  private unseen: Set<string> | undefined;
  private sorted: readonly Entry<'containers'>[] | undefined;
  private highest = 0;
  private lowest = 0;
  private gone = 0;
  private generation = 0;

  /** Of the newest value. */
  get sequence(): number {
    return this.highest;
  }

  /** Of what changed before it, not all is known any more. */
  get floor(): number {
    return this.lowest;
  }

  /** Another one: something vanished without a value of its own, so that positions of before lead nowhere. */
  get resets(): number {
    return this.generation;
  }

  /** All present values come again from now on, until {@link endPass}. */
  beginPass(): void {
    this.unseen = new Set(this.entries.keys());
  }

  /** What did not come again is gone. */
  endPass(): void {
    const gone = [...(this.unseen ?? [])];
    this.unseen = undefined;
    const wereThere = gone.filter((id) => this.entries.get(id)?.value !== null);
    for (const id of gone) {
      if (this.entries.get(id)?.value === null) this.gone--;
      this.entries.delete(id);
    }
    if (wereThere.length > 0) this.forget();
  }

  /** The bus has another stream than before: its sequences begin again. */
  restart(): void {
    this.entries.clear();
    this.highest = 0;
    this.lowest = 0;
    this.gone = 0;
    this.forget();
  }

  /** @returns whether it was news */
  put(entry: Entry): boolean {
    const id = `${entry.topic} ${entry.key}`;
    this.unseen?.delete(id);
    const before = this.entries.get(id);
    if (before && before.sequence >= entry.sequence) return false;
    this.entries.set(id, entry);
    this.highest = Math.max(this.highest, entry.sequence);
    if (entry.topic === 'containers') {
      const stays = before?.value && entry.value && sortKey(before) === sortKey(entry);
      if (!stays) this.sorted = undefined;
    }
    this.gone += Number(entry.value === null) - Number(before?.value === null);
    if (this.gone > MOST_GONE) this.forgetGone();
    this.log.push(entry);
    if (this.log.length > 2 * LOG_LENGTH) this.log = this.log.slice(-LOG_LENGTH);
    return true;
  }

  get<T extends Topic>(topic: T, key: string): ValueOf[T] | undefined {
    return (this.entries.get(`${topic} ${key}`)?.value ?? undefined) as ValueOf[T] | undefined;
  }

  /** Without what is gone; containers are not in order. */
  all<T extends Topic>(topic: T): ValueOf[T][] {
    const found: ValueOf[T][] = [];
    for (const entry of this.entries.values())
      if (entry.topic === topic && entry.value) found.push(entry.value as ValueOf[T]);
    return found;
  }

  /** By tenant, name and id. */
  containers(): readonly Entry<'containers'>[] {
    this.sorted ??= [...this.entries.values()]
      .filter((entry): entry is Entry<'containers'> => entry.topic === 'containers' && entry.value !== null)
      .map((entry) => ({ entry, key: sortKey(entry) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ entry }) => entry);
    // Values change without the order: look up the present ones.
    return this.sorted.map((entry) => this.entries.get(`containers ${entry.key}`) as Entry<'containers'>);
  }

  /** The last value of everything that changed after a position, oldest first; null values are gone. */
  changesSince(sequence: number): Entry[] {
    const isPresent = (entry: Entry): boolean => this.entries.get(`${entry.topic} ${entry.key}`) === entry;
    const [oldest] = this.log;
    if (oldest === undefined || oldest.sequence > sequence + 1)
      return [...this.entries.values()]
        .filter((entry) => entry.sequence > sequence)
        .sort((a, b) => a.sequence - b.sequence);
    let from = 0;
    for (let to = this.log.length; from < to;) {
      const middle = (from + to) >> 1;
      if ((this.log[middle] as Entry).sequence > sequence) to = middle;
      else from = middle + 1;
    }
    return this.log.slice(from).filter(isPresent);
  }

  /** The older half of it. */
  private forgetGone(): void {
    const gone = [...this.entries].filter(([, { value }]) => value === null);
    gone.sort(([, a], [, b]) => a.sequence - b.sequence);
    for (const [id, { sequence }] of gone.slice(0, MOST_GONE / 2)) {
      this.entries.delete(id);
      this.lowest = Math.max(this.lowest, sequence);
      this.gone--;
    }
  }

  private forget(): void {
    this.log = [];
    this.sorted = undefined;
    this.generation++;
  }
}

/** `tenant name id`: no part has a space. */
export function sortKey({ value, key }: Entry): string {
  const status = value as ValueOf['containers'] | null;
  return status ? `${status.tenant} ${status.name} ${key}` : key;
}
