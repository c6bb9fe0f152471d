/**
 * Fills this host's own store: with what its containers need, then with what is pinned or wished ahead; and removes
 * what nothing needs. One try at a time for each image, however many containers wait for it.
 */
import type { DistributionFailureReason, HostImages, ImageTransfer, ProductionImage } from '@plinth/contracts';
import type { Fetcher, InstallationResult, TryProgress } from '@plinth/image-transfer';
import { failed, FRESH, planRetry, type ProducedImage, type RetryState } from '@plinth/image-transfer/domain';
import { type Logger, type NextPass, WorkLoop } from '@plinth/service-kit';
import type { OwnImages } from '../adapters/own-images.js';
import { type DailyWindow, untilOpenMs } from '../domain/daily-windows.js';
import {
  type ImageUses,
  type ImageWishes,
  type MissingImage,
  nextFills,
  NO_WISHES,
  startFailure,
  unneeded,
} from '../domain/image-supply.js';
import type { ImageReports } from './image-reports.js';
import { ImageRoom } from './image-room.js';
import { ImageSources } from './image-sources.js';

export interface SupplyOptions {
  readonly self: Fetcher;
  /** Most bytes of the store; undefined: a share of the file system. */
  readonly budgetBytes: number | undefined;
  readonly longestPauseMs: number;
  readonly fillsAtOnce: number;
  /** When it may begin to fetch what nothing waits for; absent: always. */
  readonly windows?: readonly DailyWindow[];
  /** Token for the repositories. */
  readonly token: () => string | undefined;
}

/** What the supply has to know of the containers. */
export interface ImageUsers {
  uses(): ImageUses;
  /** The image is there, or why it is not has changed. */
  wake(image: string): void;
}

const PERIOD_MS = 60_000;
/** Least pause before it is planned again where an image is fetched. */
const PLAN_AGAIN_MS = 500;
/** Objects that a fill has left that was given up, and a new measure of the store. */
const COLLECT_MS = 6 * 3_600_000;
/** How long the bus may take to bring what is in production after a config that names it. */
const UNKNOWN_MS = 10_000;
/** Of the thread that fills ahead: starts come first. */
const NICE_AHEAD = 10;
const NICE_NEEDED = 5;

interface Tries {
  readonly retry: RetryState;
  readonly failure: { readonly reason: DistributionFailureReason; readonly message: string };
  /** By `performance.now()`; undefined: no try until it is promoted again. */
  readonly notBefore: number | undefined;
}

export class ImageSupply {
  private users: ImageUsers | undefined;
  private changed: () => void = () => undefined;
  private wishes: ImageWishes = NO_WISHES;
  private readonly production = new Map<string, ProductionImage>();
  private isProductionKnown = false;
  private readonly tries = new Map<string, Tries>();
  private readonly inProgress = new Map<string, Promise<void>>();
  /** Of those in progress that are being received. */
  private readonly progress = new Map<string, TryProgress>();
  /** Since when an image is needed that is not known to be in production. */
  private readonly unknownSince = new Map<string, number>();
  /** By image: not before this time by `performance.now()`, as those that have it are busy. */
  private readonly resting = new Map<string, number>();
  private collectedAt = -Infinity;
  private readonly room: ImageRoom;
  private readonly sources: ImageSources;
  /** Measurements after fills. */
  private readonly measuring = new Set<Promise<void>>();
  private readonly ending = new AbortController();
  private readonly loop: WorkLoop;
  private readonly removals: WorkLoop;

  constructor(
    private readonly images: OwnImages,
    private readonly reports: ImageReports,
    private readonly options: SupplyOptions,
    private readonly logger: Logger,
  ) {
    const { signal } = this.ending;
    const context = {
      uses: (): ImageUses => this.uses,
      wishes: (): ImageWishes => this.wishes,
      isBusy: (image: string): boolean => this.inProgress.has(image),
      removed: (image: string, why: string): void => this.removed(image, why),
    };
    this.room = new ImageRoom(images, context, options.budgetBytes, signal);
    this.sources = new ImageSources(options.self, options.token, signal, () => this.kick(), logger);
    this.loop = new WorkLoop({
      pass: () => this.pass(),
      periodMs: PERIOD_MS,
      failed: (error) =>
        logger.error({ err: error }, 'the store of images could not be looked after; it is tried again'),
    });
    this.removals = new WorkLoop({
      pass: () => this.removeUnneeded(),
      failed: (error) => {
        if (!this.ending.signal.aborted)
          logger.error({ err: error }, 'an image that nothing needs could not be removed; it is tried again');
      },
    });
  }

  /** After the containers are known: what they use is never removed. */
  async start(users: ImageUsers): Promise<void> {
    this.users = users;
    const { needed } = users.uses();
    await this.images.clean((image) => needed.has(image));
    this.loop.start();
    this.removals.start();
  }

  /** Cancels what is in progress; downloads are continued by the next process. */
  async stop(): Promise<void> {
    this.ending.abort(new Error('stopping'));
    await Promise.all([this.loop.stop(), this.removals.stop()]);
    await Promise.allSettled([...this.inProgress.values(), ...this.measuring]);
    await Promise.all([this.room.settled(), this.sources.settled()]);
  }

  /** @param call when an image has come or gone */
  onChange(call: () => void): void {
    this.changed = call;
  }

  /** Where others fetch from here has changed. */
  announce(): void {
    this.changed();
  }

  kick(): void {
    this.loop.kick();
  }

  /** @returns those of the images that are not here, and why the last try of each failed; undefined: all are here */
  missing(images: readonly string[]): ReadonlyMap<string, MissingImage> | undefined {
    const missing = images.filter((image) => !this.images.has(image));
    if (missing.length === 0) return undefined;
    return new Map(missing.map((image) => [image, this.describe(image)]));
  }

  /** Names of what is here, whole and not known to be damaged. */
  held(): readonly string[] {
    return this.images
      .list()
      .map(({ image }) => image)
      .filter((image) => this.images.has(image));
  }

  /** What is being fetched. */
  transfers(): readonly ImageTransfer[] {
    return [...this.progress].map(([image, progress]) => ({ image, ...progress }));
  }

  /** A container was started on it. */
  used(image: string): void {
    this.images
      .used(image, Date.now())
      .catch((error: unknown) => this.logger.warn({ err: error, image }, 'the use of an image could not be noted'));
  }

  accept(value: ProductionImage): void {
    const image = `${value.name}@${value.version}`;
    const before = this.production.get(image);
    this.production.set(image, value);
    // Promoted again, or from other sources: a failure of before says nothing any more.
    if (before?.state !== value.state || sourceUrls(before) !== sourceUrls(value)) this.tries.delete(image);
    if (value.state !== 'promoted') this.sources.forget(value);
    this.resting.delete(image);
    this.unknownSince.delete(image);
    this.kick();
  }

  productionIsKnown(): void {
    this.isProductionKnown = true;
    this.kick();
  }

  wish(value: HostImages): void {
    this.wishes = {
      pinned: new Set(value.pinned),
      awaited: new Set(value.ahead.flatMap(({ image, reason }) => (reason === 'rollout' ? [image] : []))),
      ahead: new Set(value.ahead.map(({ image }) => image)),
      evict: new Set(value.evict),
    };
    this.kick();
  }

  private get uses(): ImageUses {
    if (!this.users) throw new Error('the supply was not started');
    return this.users.uses();
  }

  private async pass(): Promise<NextPass | void> {
    this.collectNowAndThen();
    this.removals.kick();
    const { uses } = this;
    const next = nextFills({
      uses,
      wishes: this.wishes,
      isHeld: (image) => this.images.has(image),
      inProgress: new Set(this.inProgress.keys()),
      most: this.options.fillsAtOnce,
      windowInMs: this.options.windows ? untilOpenMs(this.options.windows, Date.now()) : 0,
      dueInMs: (image) => this.dueInMs(image),
    });
    for (const image of next.now) this.take(image, uses.needed.has(image));
    const unknownMs = this.awaitUnknown(uses);
    const afterMs = Math.min(next.afterMs ?? Infinity, unknownMs ?? Infinity);
    return Number.isFinite(afterMs) ? { afterMs } : undefined;
  }

  private dueInMs(image: string): number | undefined {
    const production = this.production.get(image);
    const tries = this.tries.get(image);
    if (production?.state !== 'promoted' || (tries && tries.notBefore === undefined)) return undefined;
    const notBefore = Math.max(tries?.notBefore ?? 0, this.resting.get(image) ?? 0);
    const leftMs = notBefore - performance.now();
    if (leftMs > 0) return leftMs;
    const plan = this.sources.plan(production);
    return plan && ('waitMs' in plan ? Math.max(1, plan.waitMs) : 0);
  }

  /** @returns milliseconds until a container's wait for an image that is not in production is over */
  private awaitUnknown({ needed }: ImageUses): number | undefined {
    for (const image of this.unknownSince.keys()) if (!needed.has(image)) this.unknownSince.delete(image);
    if (!this.isProductionKnown) return undefined;
    let leftMs: number | undefined;
    for (const image of needed) {
      if (this.images.has(image) || this.production.has(image)) continue;
      const since = this.unknownSince.get(image);
      if (since === undefined) this.unknownSince.set(image, performance.now());
      const left = (since ?? performance.now()) + UNKNOWN_MS - performance.now();
      if (left > 0) leftMs = Math.min(left, leftMs ?? Infinity);
      else this.users?.wake(image);
    }
    return leftMs;
  }

  private describe(image: string): MissingImage {
    const tries = this.tries.get(image);
    if (tries) {
      const { notBefore, failure } = tries;
      const retryInMs = notBefore === undefined ? undefined : Math.max(0, Math.round(notBefore - performance.now()));
      return { failure: startFailure(image, failure), retryInMs };
    }
    const state = this.production.get(image)?.state;
    const since = this.unknownSince.get(image);
    const isUnknown = since !== undefined && performance.now() - since >= UNKNOWN_MS;
    if (state === 'promoted' || (state === undefined && !isUnknown)) return {};
    const problem = state === undefined ? 'is not in production' : `is ${state}`;
    const failure = { reason: 'image-missing', message: `${image} ${problem}: promote it, or choose another` } as const;
    return { failure };
  }

  private take(image: string, isNeeded: boolean): void {
    const production = this.production.get(image);
    const lock = production && this.images.tryLock(image);
    if (!lock) return;
    const work = this.fill(image, production, isNeeded)
      .catch((error: unknown) => {
        if (this.ending.signal.aborted) return;
        this.logger.error({ err: error, image }, 'an image could not be fetched');
        const message = error instanceof Error ? error.message : String(error);
        this.settle(image, { outcome: failed('io-error', message), downloadedBytes: 0 }, 0);
      })
      .finally(() => {
        lock.release();
        this.inProgress.delete(image);
        this.progress.delete(image);
        if (this.ending.signal.aborted) return;
        this.users?.wake(image);
        this.kick();
      });
    this.inProgress.set(image, work);
  }

  private async fill(image: string, production: ProductionImage, isNeeded: boolean): Promise<void> {
    const begun = performance.now();
    const plan = this.sources.plan(production);
    // It has changed since it was due.
    if (!plan || 'waitMs' in plan) return;
    const room = await this.room.reserve(plan.image, isNeeded);
    if (!room.ok) return this.settle(image, { outcome: room, downloadedBytes: 0 }, 0);
    const turn = this.tries.get(image)?.retry.attempts ?? 0;
    const job = { turn, token: this.options.token(), nice: isNeeded ? NICE_NEEDED : NICE_AHEAD };
    const filled = this.images.install(plan.image, job, Date.now(), this.ending.signal, (progress) =>
      this.progress.set(image, progress),
    );
    this.measureAfter(plan.image, filled, room.value);
    const result = await filled;
    this.sources.learn(production, result);
    if (result.isUndecided) this.resting.set(image, performance.now() + PLAN_AGAIN_MS * (1 + Math.random()));
    else this.settle(image, result, Math.round(performance.now() - begun));
  }

  /** What was reserved is released when it is measured what the fill has taken. */
  private measureAfter(image: ProducedImage, filled: Promise<InstallationResult>, reserved: number): void {
    const measured = filled
      .then(
        ({ outcome }) => (outcome.ok ? this.room.fitAgain(image) : undefined),
        // It is handled where the fill is awaited.
        () => undefined,
      )
      .catch((error: unknown) => {
        if (!this.ending.signal.aborted)
          this.logger.error({ err: error }, 'the store could not be measured after a fill');
      })
      .finally(() => {
        this.room.release(reserved);
        this.measuring.delete(measured);
      });
    this.measuring.add(measured);
  }

  private settle(image: string, result: InstallationResult, durationMs: number): void {
    const { outcome, downloadedBytes, source, deltaFrom, deltaProblem } = result;
    const at = new Date().toISOString();
    if (outcome.ok) {
      this.tries.delete(image);
      this.logger.info({ image, downloadedBytes, durationMs, source, deltaFrom, deltaProblem }, 'image fetched');
      this.changed();
      this.reports.send({ image, state: 'cached', at, downloadedBytes, durationMs, source, deltaFrom });
      return;
    }
    const { reason, message } = outcome;
    const before = this.tries.get(image)?.retry ?? FRESH;
    const plan = planRetry(reason, before, downloadedBytes, this.options.longestPauseMs, Math.random());
    const retryInMs = plan.retry ? plan.delayMs : undefined;
    const notBefore = retryInMs === undefined ? undefined : performance.now() + retryInMs;
    this.tries.set(image, { retry: plan.state, failure: { reason, message }, notBefore });
    this.logger.warn({ image, reason, problem: message, downloadedBytes, retryInMs }, 'image could not be fetched');
    this.reports.send({ image, state: 'failed', at, durationMs, reason, message: message.slice(0, 2_000), retryInMs });
  }

  private async removeUnneeded(): Promise<void> {
    const stateOf = (image: string): ProductionImage['state'] | undefined => this.production.get(image)?.state;
    for (const { image, why } of unneeded(this.images.list(), this.uses, this.wishes, stateOf))
      await this.room.remove(image, why);
  }

  private removed(image: string, why: string): void {
    const production = this.production.get(image);
    if (production) this.sources.forget(production);
    this.logger.info({ image, why }, 'image removed from the store');
    this.changed();
    this.reports.send({ image, state: 'evicted', at: new Date().toISOString(), message: why });
    this.users?.wake(image);
    this.kick();
  }

  private collectNowAndThen(): void {
    if (performance.now() - this.collectedAt < COLLECT_MS) return;
    this.collectedAt = performance.now();
    this.room.measure().catch((error: unknown) => {
      if (this.ending.signal.aborted) return;
      this.collectedAt = -Infinity;
      this.logger.error({ err: error }, 'the store could not be measured; it is tried again');
    });
  }
}

function sourceUrls(image: ProductionImage | undefined): string {
  return (image?.sources ?? []).map(({ url }) => url).join(' ');
}
