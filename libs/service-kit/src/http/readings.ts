/**
 * Gauges that are read together when they are asked for: one look at a database, or at the bus, for all of them, and not
 * more often than they are worth.
 */
import { Gauge, register } from 'prom-client';
import type { Logger } from '../logging.js';

export interface GaugeFamily {
  readonly help: string;
  readonly labels?: readonly string[];
}
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}
export type Readings<N extends string> = Readonly<Record<N, readonly Sample[]>>;

const KEPT_MS = 10_000;
/** A scraper waits for 10 s. */
const PATIENCE_MS = 5_000;

/**
 * Registers the gauges; those of a reader before are replaced. While the reading fails or takes too long they have no
 * values, and the other metrics are there nevertheless.
 * @param keptMs how long values are shown before they are read again
 */
export function readTogether<N extends string>(
  families: Readonly<Record<N, GaugeFamily>>,
  read: () => Promise<Readings<N>>,
  logger: Pick<Logger, 'warn'>,
  keptMs: number = KEPT_MS,
): void {
  let last: { readonly at: number; readonly values: Promise<Readings<N> | undefined> } | undefined;
  const values = (): Promise<Readings<N> | undefined> => {
    if (!last || performance.now() - last.at >= keptMs) {
      const reading = read().catch((error: unknown) => {
        logger.warn({ err: error, metrics: Object.keys(families) }, 'metrics could not be read; they are left out');
        return undefined;
      });
      last = { at: performance.now(), values: reading };
    }
    return withinPatience(last.values);
  };
  for (const name of Object.keys(families) as N[]) {
    const { help, labels = [] } = families[name];
    register.removeSingleMetric(name);
    new Gauge({
      name,
      help,
      labelNames: [...labels],
      async collect() {
        const found = await values();
        // Without labels, a reset sets 0, which would be a value.
        this.reset();
        if (labels.length === 0) this.remove();
        for (const sample of found?.[name] ?? []) this.set({ ...sample.labels }, sample.value);
      },
    });
  }
}

/**
 * The samples with the greatest values; those beyond are added up under the value `other` of one of their labels.
 * @param most of them by value of the label; `other` comes on top
 */
export function greatest(samples: readonly Sample[], label: string, most: number): readonly Sample[] {
  const weights = new Map<string, number>();
  for (const { labels, value } of samples) {
    const name = labels?.[label] ?? '';
    weights.set(name, (weights.get(name) ?? 0) + value);
  }
  if (weights.size <= most) return samples;
  const kept = new Set(
    [...weights]
      .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
      .slice(0, most)
      .map(([name]) => name),
  );
  const sums = new Map<string, Sample>();
  for (const sample of samples) {
    const isKept = kept.has(sample.labels?.[label] ?? '');
    const labels = isKept ? sample.labels : { ...sample.labels, [label]: 'other' };
    const key = JSON.stringify(Object.entries(labels ?? {}));
    sums.set(key, { labels, value: sample.value + (sums.get(key)?.value ?? 0) });
  }
  return [...sums.values()];
}

async function withinPatience<T>(work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, undefined);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}
