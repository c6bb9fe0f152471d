/**
 * Moves tested images into production. The intention is stored in the catalogue, then the files move, then it is
 * published: an interrupted promotion is finished by {@link Promotions.finishAll}.
 */
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import {
  type ImagePromoted,
  type ImagePromotionRequested,
  parseExactImageRef,
  STREAMS,
  SUBJECTS,
  versionNumber,
} from '@plinth/contracts';
import {
  claimEvent,
  insertEvents,
  type Logger,
  LOGGER,
  Outbox,
  type OutboxEvent,
  PermanentError,
  type ReceivedEvent,
} from '@plinth/service-kit';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { ImageRepository } from '../adapters/repository/image-repository.js';
import { StatusReporter } from '../adapters/tools/status-reporter.js';
import { type ImageBuild, refOf, versionOf } from '../domain/image-build.js';
import { decidePromotion } from '../domain/version-states.js';
import { rejectionFact } from './rejection-fact.js';
import { ImageBuilderConfig } from '../config.js';

@Injectable()
export class Promotions implements OnModuleInit {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(ImageRepository) private readonly repository: ImageRepository,
    @Inject(StatusReporter) private readonly statuses: StatusReporter,
    @Inject(ImageBuilderConfig) private readonly config: ImageBuilderConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.outbox.onAmnesia(async (stream, manager) => {
      if (stream === STREAMS.events.name) await insertEvents(manager, await this.everything());
    });
  }

  async request(event: ReceivedEvent<ImagePromotionRequested>): Promise<void> {
    const { image, to } = event.data;
    const ref = parseExactImageRef(image);
    if (!ref) throw new PermanentError(`${image} passed its contract but is not an exact image`);
    const facts = { aggregate: image, correlationId: event.correlationId, causationId: event.id };
    await this.outbox.transact(async (manager, add) => {
      if (!(await claimEvent(manager, SUBJECTS.imagePromotionRequested, event.id))) return;
      const build = await this.catalogue.lock(manager, ref.name, versionNumber(ref.version));
      const decision = decidePromotion(
        build ? { ref: refOf(build), state: build.state, promotedTo: build.promotion?.to } : undefined,
        image,
        to,
      );
      if (!build || !decision.ok) {
        add({ ...facts, ...rejectionFact('promotion', event.id, ref, decision) });
        return;
      }
      const promotion = { requestId: event.id, correlationId: event.correlationId, to };
      await this.catalogue.setPromotion(
        manager,
        build,
        decision.value === 'move' ? 'promoting' : 'promoted',
        promotion,
      );
      if (decision.value === 'announce')
        add({ ...facts, subject: SUBJECTS.imagePromoted, data: this.factOf(build, to) });
    });
    // This also runs on a second delivery: the process of the first may have died in between.
    await this.finish(ref.name, versionNumber(ref.version));
  }

  /** Finishes promotions that this process or a dead copy has begun. */
  async finishAll(): Promise<void> {
    for (const build of await this.catalogue.inState('promoting')) await this.finish(build.name, build.number);
  }

  /**
   * Publishes what was promoted before the provisioner kept promotions: it knows the versions, and not where they can
   * be fetched.
   */
  async announceKept(): Promise<void> {
    const events = await this.everything();
    await this.outbox.transact(async (manager, add) => {
      if (await this.catalogue.beginUpgradeStep(manager, 'promotions-are-kept')) events.forEach(add);
    });
  }

  /** Every image in production, and every revocation. */
  private async everything(): Promise<readonly OutboxEvent[]> {
    const events: OutboxEvent[] = [];
    for (const build of [...(await this.catalogue.inState('promoted')), ...(await this.catalogue.inState('revoked'))]) {
      const facts = { aggregate: refOf(build), correlationId: build.promotion?.correlationId ?? build.correlationId };
      if (build.promotion)
        events.push({ ...facts, subject: SUBJECTS.imagePromoted, data: this.factOf(build, build.promotion.to) });
      const revoked = { name: build.name, version: versionOf(build), reason: build.revokedReason ?? '' };
      if (build.state === 'revoked') events.push({ ...facts, subject: SUBJECTS.imageRevoked, data: revoked });
    }
    return events;
  }

  private async finish(name: string, number: number): Promise<void> {
    const done = await this.outbox.transact(async (manager, add): Promise<ImageBuild | undefined> => {
      const build = await this.catalogue.lock(manager, name, number);
      if (build?.state !== 'promoting' || !build.promotion) return undefined;
      const { promotion } = build;
      await this.repository.promote(name, versionOf(build));
      await this.catalogue.setPromotion(manager, build, 'promoted', promotion);
      add({
        subject: SUBJECTS.imagePromoted,
        aggregate: refOf(build),
        data: this.factOf(build, promotion.to),
        correlationId: promotion.correlationId,
        causationId: promotion.requestId,
      });
      return build;
    });
    if (!done) return;
    this.statuses.settled(done, 'promoted');
    this.logger.info({ image: refOf(done) }, 'image promoted');
  }

  private factOf(build: ImageBuild, to: readonly string[] | undefined): ImagePromoted {
    const { statement, manifest } = build;
    if (!statement || !manifest) throw new Error(`${refOf(build)} is promoted without a statement`);
    return {
      name: build.name,
      version: versionOf(build),
      contentDigest: statement.contentDigest,
      manifestDigest: statement.manifestDigest,
      archiveDigest: statement.archiveDigest,
      archiveBytes: statement.archiveBytes,
      unpackedBytes: manifest.bytes,
      ...(manifest.architecture !== undefined && { architecture: manifest.architecture }),
      sources: [`${this.config.PLINTH_PUBLIC_URL.replace(/\/+$/, '')}/images/${build.name}/${versionOf(build)}`],
      to: to && [...to],
    };
  }
}
