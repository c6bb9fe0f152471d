/** One build from its claim to `image.tested`; each half can be repeated from the state in the catalogue. */
import { Inject, Injectable } from '@nestjs/common';
import { join } from 'node:path';
import {
  archiveFileName,
  type Digest,
  type ImageBuilding,
  type ImageBuilt,
  type ImageTested,
  SUBJECTS,
} from '@plinth/contracts';
import { type Logger, Outbox } from '@plinth/service-kit';
import { extractArchive } from '../adapters/repository/archive.js';
import type { ParentImage } from '../adapters/sources/bootstrap.js';
import type { BuildLog } from '../adapters/tools/build-log.js';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { Deltas } from '../adapters/repository/deltas.js';
import { ImageRepository } from '../adapters/repository/image-repository.js';
import type { BuildStatus } from '../adapters/tools/status-reporter.js';
import { WorkDirectories } from '../adapters/tools/work-directories.js';
import { readRecipe } from '../adapters/sources/recipe-yaml.js';
import { BuildRefusal } from '../domain/build-refusal.js';
import { type ImageBuild, refOf, versionOf } from '../domain/image-build.js';
import { decideParent } from '../domain/version-states.js';
import type { Recipe } from '../domain/recipe.js';
import { summaryOf } from '../domain/seal-manifest.js';
import { IMAGE_MAKER, type ImageMaker, makeImage } from './make-image.js';
import { ImageTester } from './test-image.js';

export interface JobContext {
  readonly build: ImageBuild;
  readonly log: BuildLog;
  readonly status: BuildStatus;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

@Injectable()
export class BuildJob {
  constructor(
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ImageRepository) private readonly repository: ImageRepository,
    @Inject(WorkDirectories) private readonly directories: WorkDirectories,
    @Inject(Deltas) private readonly deltas: Deltas,
    @Inject(IMAGE_MAKER) private readonly maker: ImageMaker,
    @Inject(ImageTester) private readonly tester: ImageTester,
  ) {}

  /** @throws BuildRefusal when the build can't produce an image */
  async run(context: JobContext): Promise<void> {
    const { build } = context;
    const read = readRecipe(build.recipe);
    if (!read.ok)
      throw new BuildRefusal(
        'invalid-recipe',
        read.problems.map(({ path, message }) => `${path}: ${message}`).join('; '),
      );
    const built = build.state === 'built' && (await this.repository.locate(build.name, versionOf(build))) !== undefined;
    if (!built) await this.make(context, read.recipe);
    await this.test(context, read.recipe);
  }

  private async make({ build, log, status, signal, logger }: JobContext, recipe: Recipe): Promise<void> {
    const began = performance.now();
    const version = versionOf(build);
    const facts = { aggregate: refOf(build), correlationId: build.correlationId, causationId: build.requestId };
    await this.outbox.transact(async (manager, add) => {
      await this.catalogue.advance(manager, build, 'building');
      // The start is published once, even if the build is repeated.
      if (build.state !== 'queued') return;
      const startedAt = (build.startedAt ?? new Date()).toISOString();
      const data: ImageBuilding = {
        name: build.name,
        version,
        buildId: build.buildId,
        recipeDigest: build.recipeDigest,
        startedAt,
      };
      add({ ...facts, subject: SUBJECTS.imageBuilding, data });
    });
    const parent = await this.parentOf(recipe);
    const work = await this.directories.make(build.buildId);
    const made = await makeImage(this.maker, {
      build,
      recipe,
      parent,
      work,
      signal,
      onLine: (line) => log.line(line),
      onProgress: (phase, within) => status.progress('building', phase, within),
    });
    status.progress('building', 'publish', 0);
    const durationMs = Math.round(performance.now() - began);
    const { manifest, statement, packages } = made;
    await this.outbox.transact(async (manager, add) => {
      // The row is locked from here: no other builder publishes this version in between.
      await this.catalogue.advance(manager, build, 'built', {
        statement,
        manifest: summaryOf(manifest),
        packages,
        parent: parent?.ref ?? null,
        builtAt: new Date(),
        durationMs,
      });
      await this.repository.publish(made.directory, build.name, version);
      const data: ImageBuilt = {
        name: build.name,
        version,
        buildId: build.buildId,
        contentDigest: statement.contentDigest,
        manifestDigest: statement.manifestDigest,
        archiveDigest: statement.archiveDigest,
        archiveBytes: statement.archiveBytes,
        unpackedBytes: manifest.totals.bytes,
        entries: manifest.totals.entries,
        parent: parent?.ref,
        durationMs,
      };
      add({ ...facts, subject: SUBJECTS.imageBuilt, data });
    });
    logger.info(
      { durationMs, contentDigest: statement.contentDigest, archiveBytes: statement.archiveBytes },
      'image built',
    );
  }

  private async test({ build, log, status, signal, logger }: JobContext, recipe: Recipe): Promise<void> {
    const began = performance.now();
    const version = versionOf(build);
    const work = await this.directories.make(build.buildId);
    status.progress('built', 'unpack', 0);
    const current = await this.catalogue.find(build.name, build.number);
    const directory = await this.repository.locate(build.name, version);
    const manifest = await this.repository.manifest(build.name, version);
    if (!current?.statement || !directory || !manifest)
      throw new Error(`${refOf(build)} is built, but not in the repository`);
    const unpacked = join(work, 'unpacked');
    await extractArchive(
      join(directory, archiveFileName(build.name, version)),
      current.statement.archiveDigest,
      unpacked,
      signal,
    );
    const tests = await this.tester.test({
      manifest,
      directory: unpacked,
      work,
      tests: recipe.tests,
      signal,
      onLine: (line) => log.line(line),
      onProgress: (phase, within) => status.progress('built', phase, within),
    });
    const durationMs = Math.round(performance.now() - began);
    // The files of the build are removed before the image is announced.
    await this.directories.remove(build.buildId);
    await this.outbox.transact(async (manager, add) => {
      await this.catalogue.advance(manager, build, 'tested', { tests, logTail: log.tail });
      const data: ImageTested = { name: build.name, version, contentDigest: manifest.contentDigest, tests, durationMs };
      add({
        subject: SUBJECTS.imageTested,
        aggregate: refOf(build),
        data,
        correlationId: build.correlationId,
        causationId: build.requestId,
      });
    });
    await this.prepareDelta(build);
    status.settle('tested', 'tested', 1);
    logger.info({ durationMs, tests: tests.length }, 'image tested');
  }

  /** Ahead of the promotion, from what storage nodes have now. */
  private async prepareDelta(build: ImageBuild): Promise<void> {
    const current = await this.catalogue.inProduction(build.name);
    if (current)
      this.deltas.prepare(
        { name: build.name, version: versionOf(build) },
        { name: current.name, version: versionOf(current) },
      );
  }

  private async parentOf(recipe: Recipe): Promise<ParentImage | undefined> {
    if (recipe.source.kind !== 'image') return undefined;
    const { name, version } = recipe.source.ref;
    const found =
      version === undefined
        ? await this.catalogue.newest(name)
        : await this.catalogue.find(name, Number(version.slice(1)));
    const asked = version === undefined ? name : `${name}@${version}`;
    const decision = decideParent(found ? { ref: asked, state: found.state } : undefined, asked);
    if (!decision.ok) throw new BuildRefusal(decision.refusal.reason, decision.refusal.message);
    const directory = found && (await this.repository.locate(found.name, versionOf(found)));
    const manifest = found && (await this.repository.manifest(found.name, versionOf(found)));
    if (!found?.statement || !directory || !manifest)
      throw new Error(`${asked} is in the catalogue, but not in the repository`);
    const archiveDigest: Digest = found.statement.archiveDigest;
    return {
      ref: refOf(found),
      archive: join(directory, archiveFileName(found.name, versionOf(found))),
      archiveDigest,
      manifest,
    };
  }
}
