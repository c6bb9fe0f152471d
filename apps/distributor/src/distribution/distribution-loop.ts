/**
 * Installs promoted images. The loop takes due entries of the journal, one task for each image version, writes the
 * outcome into the journal, reports it, and removes the entry when the bus has stored the last report. The process may
 * die anywhere: the next one, or another distributor of this node, goes on from the journal.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type ImageTransfer, masterReport } from '@plinth/contracts';
import { derivedId, EventPublisher, type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { Origins } from '../adapters/origins.js';
import { ProductionRecords } from '../adapters/production-records.js';
import { Retirements } from '../adapters/retirements.js';
import { Revocations } from '../adapters/revocations.js';
import { WantedStore } from '../adapters/wanted-store.js';
import type { StorageNode } from '../domain/targeting.js';
import { afterFailure, afterReport, afterSuccess, waitMs, type WantedImage } from '../domain/wanted-image.js';
import { DistributorConfig } from '../config.js';
import { INSTALLATION_PARTS, STORAGE_NODE } from '../tokens.js';
import {
  type ImageVersion,
  Installation,
  type InstallationParts,
  isAnswering,
  SourceChoices,
  type SourcePlan,
  type TryProgress,
} from '@plinth/image-transfer';

/** Period in which the end of a pause, or an entry that another distributor has left, is noticed. */
const SCAN_MS = 500;
/** How often nodes that are waited for are asked whether they live. */
const ASK_OTHERS_MS = 5_000;
/** Least pause before it is planned again where a version is fetched. */
const PLAN_AGAIN_MS = 500;
/** Pause after something unexpected, such as a bus that stores no reports. */
const RECOVER_MS = 2_000;

@Injectable()
export class DistributionLoop {
  private readonly inProgress = new Map<string, Promise<void>>();
  /** Of those in progress that are being received. */
  private readonly progress = new Map<string, TryProgress>();
  private readonly resting = new Map<string, number>();
  /** By version: the last promotion that is not tried again. */
  private readonly hopeless = new Map<string, string>();
  private readonly choices: SourceChoices;
  /** By version: when the nodes that it waits for were asked last. */
  private readonly askedAt = new Map<string, number>();
  private readonly asking = new Set<Promise<void>>();
  private readonly ending = new AbortController();
  private readonly loop: WorkLoop;

  constructor(
    @Inject(STORAGE_NODE) private readonly node: StorageNode,
    @Inject(INSTALLATION_PARTS) private readonly parts: InstallationParts,
    @Inject(WantedStore) private readonly wanted: WantedStore,
    @Inject(ProductionRecords) private readonly records: ProductionRecords,
    @Inject(Revocations) private readonly revocations: Revocations,
    @Inject(Retirements) private readonly retirements: Retirements,
    @Inject(Origins) private readonly origins: Origins,
    @Inject(EventPublisher) private readonly publisher: EventPublisher,
    @Inject(DistributorConfig) private readonly config: DistributorConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.choices = new SourceChoices({ node: node.name, dataCenter: node.labels['datacenter'] ?? '' });
    this.loop = new WorkLoop({
      pass: () => this.scan(),
      periodMs: SCAN_MS,
      failed: (error) =>
        logger.error({ err: error }, 'the journal of wanted images can not be read; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Reads the journal now. */
  kick(): void {
    this.loop.kick();
  }

  /** What this process is fetching. */
  transfers(): readonly ImageTransfer[] {
    return [...this.progress].map(([image, progress]) => ({ image, ...progress }));
  }

  /** Id of the promotion of a version that this process has given up last. */
  givenUp({ name, version }: ImageVersion): string | undefined {
    return this.hopeless.get(`${name}@${version}`);
  }

  /** Cancels the installations in progress; their downloads stay and are continued later. */
  async stop(): Promise<void> {
    this.ending.abort(new Error('stopping'));
    await this.loop.stop();
    await Promise.all([...this.inProgress.values(), ...this.asking]);
  }

  private async scan(): Promise<void> {
    for (const file of await this.wanted.list()) {
      if (this.inProgress.size >= this.config.PLINTH_DOWNLOADS || this.loop.isStopping) break;
      if (this.inProgress.has(file) || (this.resting.get(file) ?? 0) > performance.now()) continue;
      const wanted = await this.wanted.read(file);
      if (!wanted) this.logger.error({ file }, 'a wanted image can not be read; its file was set aside');
      else if (this.isDue(wanted) && !(await this.waitsForOthers(wanted))) this.take(file, wanted);
    }
  }

  private get longestPauseMs(): number {
    return this.config.PLINTH_RETRY_MAX_SECONDS * 1_000;
  }

  private isDue(wanted: WantedImage): boolean {
    return wanted.report !== undefined || waitMs(wanted, Date.now(), this.longestPauseMs) === 0;
  }

  /** Whether another node of the data centre is to fetch it first. */
  private async waitsForOthers(wanted: WantedImage): Promise<boolean> {
    if (wanted.report !== undefined) return false;
    const plan = await this.plan(wanted);
    if (!plan || 'image' in plan) return false;
    const { promotion } = wanted;
    const key = `${promotion.name}@${promotion.version}`;
    if ((this.askedAt.get(key) ?? -Infinity) + ASK_OTHERS_MS < performance.now()) {
      this.askedAt.set(key, performance.now());
      const asking = this.askOthers(promotion, plan.before).finally(() => this.asking.delete(asking));
      this.asking.add(asking);
    }
    return true;
  }

  /** A node that is dead is not waited for. */
  private async askOthers(image: ImageVersion, urls: readonly string[]): Promise<void> {
    const { stallMs, token } = this.parts;
    const transfer = { stallMs: Math.min(stallMs, ASK_OTHERS_MS), signal: this.ending.signal, token: token?.() };
    try {
      const answers = await Promise.all(urls.map((url) => isAnswering(url, transfer)));
      urls.forEach((url, index) => answers[index] === false && this.choices.giveUp(image, url));
    } catch (error) {
      if (!this.ending.signal.aborted) throw error;
    }
  }

  /** @returns undefined where nothing but the promotion is known: a repair of a version that is no longer promoted */
  private async plan({ promotion }: WantedImage): Promise<SourcePlan | undefined> {
    const state = await this.records.read(promotion);
    return state?.contentDigest === promotion.contentDigest ? this.choices.plan(state) : undefined;
  }

  private take(file: string, { promotion }: WantedImage): void {
    const lock = this.parts.images.tryLock(promotion);
    if (!lock) return;
    const work = this.settle(file)
      .then(
        (restMs) => void (restMs > 0 ? this.resting.set(file, performance.now() + restMs) : this.resting.delete(file)),
        (error: unknown) => {
          if (this.ending.signal.aborted) return;
          this.resting.set(file, performance.now() + RECOVER_MS);
          this.logger.error(
            { err: error, image: `${promotion.name}@${promotion.version}` },
            'distribution interrupted; it goes on soon',
          );
        },
      )
      .finally(() => {
        lock.release();
        this.inProgress.delete(file);
        this.kick();
      });
    this.inProgress.set(file, work);
  }

  /**
   * Handles one entry with the lock held: it is read again, because it may have changed before.
   * @returns how long it rests before it is looked at again, ms
   */
  private async settle(file: string): Promise<number> {
    const found = await this.wanted.read(file);
    if (!found || !this.isDue(found)) return 0;
    // A pending report of a retired version is no longer true: its removal is reported in its place.
    const retired = await this.retirements.has(found.promotion);
    if (retired || (found.report === undefined && (await this.revocations.has(found.promotion)))) {
      this.logger.info(
        { image: found.promotion.name, version: found.promotion.version },
        `not installed: it was ${retired ? 'retired' : 'revoked'}`,
      );
      await this.parts.staging.clean(found.promotion, false);
      await this.wanted.remove(found);
      return 0;
    }
    const decided = found.report ? found : await this.install(found);
    if (!decided) return PLAN_AGAIN_MS * (1 + Math.random());
    const rest = afterReport(decided);
    if (!rest) await this.parts.staging.clean(decided.promotion, false);
    await this.report(decided);
    await (rest ? this.wanted.save(rest) : this.wanted.remove(decided));
    await this.wanted.holdReserve((await this.parts.images.space()).freeBytes);
    return 0;
  }

  /** @returns undefined when other nodes have it and did not give it: it is planned again */
  private async install(wanted: WantedImage): Promise<WantedImage | undefined> {
    const begun = performance.now();
    const plan = await this.plan(wanted);
    const { name, version } = wanted.promotion;
    const image = `${name}@${version}`;
    const result = await new Installation(
      { ...this.parts, onProgress: (progress) => this.progress.set(image, progress) },
      plan && 'image' in plan ? plan.image : wanted.promotion,
      wanted.retry.attempts,
      this.ending.signal,
    )
      .run()
      .finally(() => this.progress.delete(image));
    this.choices.learn(wanted.promotion, result);
    if (result.isUndecided) return undefined;
    if (result.outcome.ok) await this.origins.store(wanted.promotion, wanted.eventId);
    const situation = { node: this.node.name, now: new Date(), durationMs: Math.round(performance.now() - begun) };
    const { outcome, downloadedBytes, source, deltaFrom, deltaProblem } = result;
    const decided = outcome.ok
      ? afterSuccess(wanted, outcome.value, situation)
      : afterFailure(wanted, outcome, downloadedBytes, situation, this.longestPauseMs, Math.random());
    this.logger[outcome.ok ? 'info' : 'warn'](
      { report: decided.report, downloadedBytes, source, deltaFrom, deltaProblem, correlationId: wanted.correlationId },
      outcome.ok ? 'master installed' : 'installation failed',
    );
    if (!outcome.ok && decided.report?.retryInMs === undefined)
      this.hopeless.set(`${wanted.promotion.name}@${wanted.promotion.version}`, wanted.eventId);
    // The outcome is on disk before it is reported.
    await this.wanted.save(decided);
    return decided;
  }

  private async report({ report, eventId, correlationId }: WantedImage): Promise<void> {
    if (!report) throw new Error('there is nothing to report');
    const { name: node } = this.node;
    await this.publisher.publish({
      subject: masterReport(node),
      data: report,
      id: derivedId('master', node, eventId, report.kind, String(report.attempt)),
      correlationId,
      causationId: eventId,
      time: report.at,
    });
  }
}
