/** Remembers, for each version that this machine wants, what decides where it is fetched. */
import type { ProductionImage } from '@plinth/contracts';
import { type Fetcher, planSources, type SourcePlan } from './domain/source-plan.js';
import type { ImageVersion } from './domain/store-layout.js';
import type { InstallationResult } from './installation.js';

interface Remembered {
  /** By a clock that does not jump. */
  readonly wantedAt: number;
  aloneSince: number;
  /** Base URLs, and when each failed. */
  readonly failed: Map<string, number>;
}

/** One that failed is asked again after this time. */
const FAILED_MS = 300_000;

export class SourceChoices {
  private readonly versions = new Map<string, Remembered>();

  constructor(
    private readonly self: Fetcher,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** @returns undefined for a version that is not in production */
  plan(image: ProductionImage): SourcePlan | undefined {
    const now = this.now();
    const known = this.remembered(image);
    for (const [url, at] of known.failed) if (now - at > FAILED_MS) known.failed.delete(url);
    const experience = {
      ...{ waitedMs: now - known.wantedAt, aloneMs: now - known.aloneSince },
      failed: new Set(known.failed.keys()),
    };
    const plan = planSources(image, this.self, experience);
    // A machine that fails has been waited for; the next one gets as long.
    if (plan && 'image' in plan && (plan.image.peers?.near.length ?? 0) > 0) known.aloneSince = now;
    return plan;
  }

  /** A try has ended. */
  learn(image: ImageVersion, { outcome, failedPeers = [] }: InstallationResult): void {
    if (outcome.ok) return this.forget(image);
    const known = this.remembered(image);
    for (const url of failedPeers) known.failed.set(url, this.now());
    if (failedPeers.length > 0) known.aloneSince = this.now();
  }

  /** A machine that was waited for does not answer. */
  giveUp(image: ImageVersion, url: string): void {
    this.remembered(image).failed.set(url, this.now());
  }

  /** The version is no longer wanted here. */
  forget({ name, version }: ImageVersion): void {
    this.versions.delete(`${name}@${version}`);
  }

  private remembered({ name, version }: ImageVersion): Remembered {
    const key = `${name}@${version}`;
    let known = this.versions.get(key);
    if (!known) {
      known = { wantedAt: this.now(), aloneSince: this.now(), failed: new Map() };
      this.versions.set(key, known);
    }
    return known;
  }
}
