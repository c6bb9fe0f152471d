/** Inspects finished images: the differences between two, and the mounts of a start. It only reads. */
import { Inject, Injectable } from '@nestjs/common';
import {
  type ImageDiff,
  type ImageDiffQuery,
  type ImageManifest,
  type ImagePlan,
  type ImagePlanQuery,
  parseImageRef,
  type QueryReply,
  versionNumber,
} from '@plinth/contracts';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { ImageRepository } from '../adapters/repository/image-repository.js';
import { cutText } from '../domain/cut-list.js';
import { type ImageBuild, refOf, versionOf } from '../domain/image-build.js';
import { type DiffSide, diffImages } from '../domain/image-diff.js';
import { inspectionRefusal } from '../domain/version-states.js';
import { planImage } from './image-plan.js';
import { CONNECTION } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';

/** NATS' own default, bytes. */
const DEFAULT_MAX_PAYLOAD = 1024 ** 2;

type Refused = { readonly ok: false; readonly reason: string; readonly message: string };
type Found = { readonly ok: true; readonly build: ImageBuild; readonly manifest: ImageManifest } | Refused;

/** Share of a message that is reserved for parts which the estimate of a list does not count. */
const SHARE = 0.7;
const MOST_BYTES = 512 * 1024;
const MOST_FILES = 10_000;

@Injectable()
export class ImageInspection {
  private before: Promise<void> = Promise.resolve();

  constructor(
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(ImageRepository) private readonly repository: ImageRepository,
    @Inject(CONNECTION) private readonly connection: NatsConnection,
  ) {}

  diff(query: ImageDiffQuery): Promise<QueryReply<ImageDiff>> {
    return this.inTurn(() => this.compare(query));
  }

  plan(query: ImagePlanQuery): Promise<QueryReply<ImagePlan>> {
    return this.inTurn(() => this.planStart(query));
  }

  /** One at a time: manifests may be large, and a client that asks for many waits for them. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.before.then(work);
    this.before = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  private async compare(query: ImageDiffQuery): Promise<QueryReply<ImageDiff>> {
    const from = await this.find(query.from);
    if (!from.ok) return from;
    const to = await this.find(query.to);
    if (!to.ok) return to;
    const limits = {
      bytes: Math.min(MOST_BYTES, (this.connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD) * SHARE),
      files: query.limit ?? MOST_FILES,
      skip: Number(query.cursor ?? 0),
    };
    return {
      ok: true,
      data: diffImages(await this.side(from.build, from.manifest), await this.side(to.build, to.manifest), limits),
    };
  }

  private async planStart(query: ImagePlanQuery): Promise<QueryReply<ImagePlan>> {
    const found = await this.find(query.image);
    if (!found.ok) return found;
    const plan = planImage(found.manifest, query.config);
    const bytes = Buffer.byteLength(JSON.stringify(plan));
    if (bytes <= (this.connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD) * SHARE) return { ok: true, data: plan };
    // Only a command or environment of that size makes the reply so long.
    const cut = (texts: readonly string[]): string[] => texts.slice(0, 300).map((text) => cutText(text));
    return {
      ok: true,
      data: {
        ...plan,
        command: cut(plan.command),
        environment: cut(plan.environment),
        etc: plan.etc.map((entry) => ({ ...entry, content: entry.content && cutText(entry.content) })),
      },
    };
  }

  private async side(build: ImageBuild, manifest: ImageManifest): Promise<DiffSide> {
    return {
      manifest,
      packages: await this.catalogue.packages(build),
      state: build.state,
      archiveBytes: build.statement?.archiveBytes ?? 0,
    };
  }

  private async find(text: string): Promise<Found> {
    const ref = parseImageRef(text);
    const build =
      ref &&
      (await (ref.version === undefined
        ? this.catalogue.newest(ref.name)
        : this.catalogue.find(ref.name, versionNumber(ref.version))));
    const refusal = inspectionRefusal(build?.state, build ? refOf(build) : text);
    if (refusal) return { ok: false, ...refusal };
    const manifest = build && (await this.repository.manifest(build.name, versionOf(build)));
    if (!build || !manifest)
      return { ok: false, reason: 'image-not-found', message: `the files of ${text} are in neither repository` };
    return { ok: true, build, manifest };
  }
}
