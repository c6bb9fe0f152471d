/**
 * Makes this node have what is in production for it. What is to be done follows from the state of each version and from
 * what stands here: it is looked at when the state changes, at start, and from time to time.
 */
import { Inject, Injectable } from '@nestjs/common';
import type { ProductionImage } from '@plinth/contracts';
import { type ImageVersion, InstalledImages } from '@plinth/image-transfer';
import { derivedId, type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { Origins } from '../adapters/origins.js';
import { ProductionRecords } from '../adapters/production-records.js';
import { Retirements } from '../adapters/retirements.js';
import { Revocations } from '../adapters/revocations.js';
import { WantedStore } from '../adapters/wanted-store.js';
import { type Known, productionStep, promotionOf } from '../domain/production-step.js';
import type { StorageNode } from '../domain/targeting.js';
import { want } from '../domain/wanted-image.js';
import { STORAGE_NODE } from '../tokens.js';
import { DistributionLoop } from './distribution-loop.js';
import { RemovalLoop } from './removal-loop.js';

const LOOK_AGAIN_MS = 60_000;

@Injectable()
export class ProductionFollowing {
  private readonly changed = new Map<string, ImageVersion>();
  private isComplete = false;
  private readonly loop: WorkLoop;

  constructor(
    @Inject(STORAGE_NODE) private readonly node: StorageNode,
    @Inject(ProductionRecords) private readonly records: ProductionRecords,
    @Inject(InstalledImages) private readonly masters: InstalledImages,
    @Inject(WantedStore) private readonly wanted: WantedStore,
    @Inject(Revocations) private readonly revocations: Revocations,
    @Inject(Retirements) private readonly retirements: Retirements,
    @Inject(Origins) private readonly origins: Origins,
    @Inject(DistributionLoop) private readonly distribution: DistributionLoop,
    @Inject(RemovalLoop) private readonly removals: RemovalLoop,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.followAll(),
      periodMs: LOOK_AGAIN_MS,
      failed: (error) => logger.error({ err: error }, 'what is in production was not followed; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** The state of a version was received. */
  async take(image: ProductionImage): Promise<void> {
    const { name, version } = image;
    await this.records.save(image);
    this.changed.set(`${name}@${version}`, { name, version });
    this.loop.kick();
  }

  private async followAll(): Promise<void> {
    const some = [...this.changed.values()];
    this.changed.clear();
    // Nothing was received since the last time: all of them are looked at.
    const due = some.length === 0 || !this.isComplete ? await this.records.list() : some;
    this.isComplete = true;
    const problems: unknown[] = [];
    for (const image of due) {
      if (this.loop.isStopping) return;
      try {
        await this.follow(image);
      } catch (error) {
        this.changed.set(`${image.name}@${image.version}`, image);
        problems.push(error);
      }
    }
    if (problems.length === 1) throw problems[0];
    if (problems.length > 1) throw new AggregateError(problems, `${problems.length} of ${due.length} versions`);
  }

  private async follow(image: ImageVersion): Promise<void> {
    const state = await this.records.read(image);
    if (!state) return;
    const step = productionStep(state, this.node, await this.know(image, state));
    const { name, version, promotionId, correlationId } = state;
    const at = new Date();
    switch (step) {
      case 'nothing':
        return;
      case 'revoke':
        return this.revocations.add({ name, version, reason: state.reason ?? '' }, at.toISOString());
      case 'retire': {
        const id = derivedId('retired', name, version);
        await this.retirements.add(image, { id, correlationId: correlationId ?? id, time: at.toISOString() });
        return this.removals.kick();
      }
      case 'install': {
        const promotion = promotionOf(state);
        if (!promotion) throw new Error(`${name}@${version} is promoted without its digests`);
        const id = promotionId ?? derivedId('promoted', name, version);
        await this.wanted.add(want(promotion, { id, correlationId: correlationId ?? id }, at));
        return this.distribution.kick();
      }
    }
  }

  private async know(image: ImageVersion, state: ProductionImage): Promise<Known> {
    // In this order: what is installed meanwhile is seen as one or the other.
    const isWanted = await this.wanted.has(image);
    const found = await this.masters.find(image);
    const isSame = found.state === 'complete' && found.installed.contentDigest === state.contentDigest;
    const [isRevoked, isRetired, installedFor] = await Promise.all([
      this.revocations.has(image),
      this.retirements.has(image),
      this.origins.promotionIdOf(image),
    ]);
    const givenUp = this.distribution.givenUp(image);
    return {
      ...{ isWanted, isRevoked, isRetired },
      standing: found.state === 'absent' ? 'absent' : isSame ? 'same' : 'other',
      settled: givenUp !== undefined && givenUp === state.promotionId ? givenUp : isSame ? installedFor : undefined,
    };
  }
}
