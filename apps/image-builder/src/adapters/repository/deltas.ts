/**
 * Deltas between versions in the repository: from the version in production to a new one ahead, others when a storage
 * node asks. One at a time, because each takes memory and processor. They are derived: one that is lost is made again.
 */
import { Inject, Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  archiveFileName,
  type ImageManifest,
  parseExactImageRef,
  type SignedStatement,
  VERSION_FILES,
} from '@plinth/contracts';
import { hasCode, syncFileSystem, syncPath, unlessMissing } from '@plinth/host-os';
import {
  DELTA_FILES,
  DELTA_FORMAT,
  type DeltaFile,
  type DeltaIndex,
  packDocument,
  packSegment,
  planDelta,
} from '@plinth/image-delta';
import { type Logger, LOGGER } from '@plinth/service-kit';
import { digestOfFile, extractArchive } from './archive.js';
import { ImageRepository } from './image-repository.js';
import { WorkDirectories } from '../tools/work-directories.js';

export interface ImageVersion {
  readonly name: string;
  readonly version: string;
}

/** `none`: there is none and there will be none; the archive has to do. */
export type DeltaState = 'making' | 'none' | { readonly directory: string };

/** Of one version, so that nobody fills the disk by asking for all. */
const MAX_BASES = 16;
/** One that failed is not made again for this long. */
const FAILED_MS = 600_000;

/** A version's own files in the repository. */
interface Source extends ImageVersion {
  readonly directory: string;
  readonly manifest: ImageManifest;
  readonly statement: SignedStatement;
}

@Injectable()
export class Deltas {
  private readonly making = new Map<string, Promise<void>>();
  private readonly failed = new Map<string, number>();
  private readonly stopping = new AbortController();
  private last: Promise<void> = Promise.resolve();

  constructor(
    @Inject(ImageRepository) private readonly repository: ImageRepository,
    @Inject(WorkDirectories) private readonly directories: WorkDirectories,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Removes what a process that died, or made a delta while a version was retired, has left. */
  async start(): Promise<void> {
    for (const image of await this.repository.withDeltas()) {
      const isThere = (await this.repository.locate(image.name, image.version)) !== undefined;
      const deltas = this.repository.deltas(image.name, image.version);
      for (const name of await readdir(deltas)) {
        const base = isThere ? parseExactImageRef(name) : undefined;
        if (base && (await this.repository.locate(base.name, base.version)) !== undefined) continue;
        await rm(join(deltas, name), { recursive: true, force: true });
      }
    }
  }

  /** Those in progress are given up, and made again when somebody asks. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('the service ends'));
    await this.last;
  }

  /** Begins to make the delta when it is missing and can be made. @param next a version in production */
  async find(next: ImageVersion, base: ImageVersion): Promise<DeltaState> {
    const directory = this.directoryOf(next, base);
    if (await exists(join(directory, DELTA_FILES.index))) return { directory };
    if (this.making.has(directory)) return 'making';
    const failedAt = this.failed.get(directory);
    if (failedAt !== undefined && performance.now() - failedAt < FAILED_MS) return 'none';
    if (!(await this.canMake(next, base))) return 'none';
    this.prepare(next, base);
    return 'making';
  }

  /** Makes the delta soon, unless it is there. */
  prepare(next: ImageVersion, base: ImageVersion): void {
    const key = this.directoryOf(next, base);
    if (this.making.has(key) || this.stopping.signal.aborted) return;
    const made = this.makeInTurn(this.last, next, base).finally(() => this.making.delete(key));
    this.making.set(key, made);
    this.last = made;
  }

  /** Removes the deltas to a version, and those from it: no node keeps it. */
  async forget(image: ImageVersion): Promise<void> {
    await rm(this.repository.deltas(image.name, image.version), { recursive: true, force: true });
    for (const { name, version } of await this.repository.withDeltas())
      await rm(this.directoryOf({ name, version }, image), { recursive: true, force: true });
  }

  /** @param turn ends when those that were asked for before are made */
  private async makeInTurn(turn: Promise<void>, next: ImageVersion, base: ImageVersion): Promise<void> {
    await turn;
    const key = this.directoryOf(next, base);
    for (const isLast of [false, true])
      try {
        return await this.make(next, base);
      } catch (error) {
        if (this.stopping.signal.aborted) return;
        // A promotion may have moved the version's files meanwhile.
        if (!isLast) continue;
        this.failed.set(key, performance.now());
        const images = { image: refOf(next), base: refOf(base) };
        this.logger.warn({ err: error, ...images }, 'no delta could be made: storage nodes take the whole archive');
      }
  }

  private async canMake(next: ImageVersion, base: ImageVersion): Promise<boolean> {
    if (refOf(next) === refOf(base)) return false;
    if (!(await exists(this.repository.directory('production', next.name, next.version)))) return false;
    if ((await this.repository.locate(base.name, base.version)) === undefined) return false;
    const bases = await readdir(this.repository.deltas(next.name, next.version)).catch(unlessMissing<string[]>([]));
    return bases.length < MAX_BASES;
  }

  private async make(nextVersion: ImageVersion, baseVersion: ImageVersion): Promise<void> {
    this.stopping.signal.throwIfAborted();
    const target = this.directoryOf(nextVersion, baseVersion);
    if (await exists(target)) return;
    const began = performance.now();
    const { signal } = this.stopping;
    const [base, next] = [await this.source(baseVersion), await this.source(nextVersion)];
    // Retired meanwhile.
    if (!base || !next) return;
    const name = `delta-${createHash('sha256').update(target).digest('hex').slice(0, 16)}`;
    const work = await this.directories.make(name);
    try {
      const finished = join(work, 'finished');
      await mkdir(finished, { mode: 0o755 });
      const index = await packDelta(base, next, work, finished, signal);
      await writeFile(join(finished, DELTA_FILES.index), JSON.stringify(index), { mode: 0o644 });
      await syncFileSystem(finished);
      await mkdir(dirname(target), { recursive: true, mode: 0o755 });
      await moveUnlessThere(finished, target);
      const bytes = (await Promise.all((await readdir(target)).map((file) => stat(join(target, file)))))
        .map(({ size }) => size)
        .reduce((sum, size) => sum + size, 0);
      const durationMs = Math.round(performance.now() - began);
      const { archiveBytes } = next.statement;
      this.logger.info({ image: refOf(next), base: refOf(base), bytes, archiveBytes, durationMs }, 'delta made');
    } finally {
      await this.directories.remove(name);
    }
  }

  private async source({ name, version }: ImageVersion): Promise<Source | undefined> {
    const directory = await this.repository.locate(name, version);
    const manifest = await this.repository.manifest(name, version);
    if (directory === undefined || !manifest) return undefined;
    const statement = JSON.parse(await readFile(join(directory, VERSION_FILES.statement), 'utf8')) as SignedStatement;
    return { name, version, directory, manifest, statement };
  }

  private directoryOf(next: ImageVersion, base: ImageVersion): string {
    return join(this.repository.deltas(next.name, next.version), refOf(base));
  }
}

async function packDelta(
  base: Source,
  next: Source,
  work: string,
  finished: string,
  signal: AbortSignal,
): Promise<DeltaIndex> {
  const segments = planDelta(base.manifest.entries, next.manifest.entries);
  const trees = { base: join(work, 'base'), next: join(work, 'next') };
  const pathsOf = (part: 'references' | 'targets'): string[] => [
    ...new Set(segments.flatMap((segment) => segment[part].map(({ path }) => path))),
  ];
  await extract(base, trees.base, pathsOf('references'), signal);
  await extract(next, trees.next, pathsOf('targets'), signal);
  const pack = async (name: string, make: (target: string) => Promise<void>): Promise<DeltaFile> => {
    const target = join(finished, name);
    await make(target);
    return { bytes: (await stat(target)).size, digest: await digestOfFile(target) };
  };
  const [scratch, baseRoot, nextRoot] = [
    work,
    join(trees.base, VERSION_FILES.root),
    join(trees.next, VERSION_FILES.root),
  ];
  const packed: DeltaFile[] = [];
  for (const [index, segment] of segments.entries())
    packed.push(
      await pack(DELTA_FILES.segment(index), (target) =>
        packSegment({ segment, base: baseRoot, next: nextRoot, scratch, signal }, target),
      ),
    );
  return {
    format: DELTA_FORMAT,
    base: base.manifest.contentDigest,
    next: next.manifest.contentDigest,
    manifest: await pack(DELTA_FILES.manifest, (target) =>
      packDocument(manifestOf(base), manifestOf(next), target, signal),
    ),
    mountScript: await pack(DELTA_FILES.mountScript, (target) =>
      packDocument(
        join(trees.base, VERSION_FILES.mountScript),
        join(trees.next, VERSION_FILES.mountScript),
        target,
        signal,
      ),
    ),
    segments: packed,
  };
}

function extract(source: Source, directory: string, paths: readonly string[], signal: AbortSignal): Promise<void> {
  const archive = join(source.directory, archiveFileName(source.name, source.version));
  return extractArchive(archive, source.statement.archiveDigest, directory, signal, paths);
}

/** Another copy of this service may have made the same one. */
async function moveUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!hasCode(error, 'EEXIST', 'ENOTEMPTY')) throw error;
  }
  await syncPath(dirname(to));
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, unlessMissing(false));
}

const manifestOf = ({ directory }: Source): string => join(directory, VERSION_FILES.manifest);
const refOf = ({ name, version }: ImageVersion): string => `${name}@${version}`;
