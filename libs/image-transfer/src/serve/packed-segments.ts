/**
 * Segments of versions that stand here as trees, packed when one is asked for, and kept within a bound of bytes. They
 * are derived: what is lost is packed again.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ImageManifest, VERSION_FILES } from '@plinth/contracts';
import { type DeltaSegment, packDocument, packSegment, planDelta } from '@plinth/image-delta';
import type { ImageVersion } from '../domain/store-layout.js';
import type { InstalledImages } from '../installed-images.js';
import type { ServedFile } from './http-files.js';

export interface PackedSegmentsOptions {
  readonly images: InstalledImages;
  /** A directory of the caller's own, which is emptied at start. */
  readonly directory: string;
  /** Most that packed segments take. */
  readonly mostBytes: number;
}

/** Segments that are packed at once: each takes a core and some hundred megabytes. */
const PACKING = 2;
/** Plans that are kept: one of a large image takes some ten megabytes. */
const PLANS = 4;
/** A machine of the same data centre is near: the network takes more bytes more easily than both ends more work. */
const WHOLE_LEVEL = 3;

interface Plan {
  readonly segments: readonly DeltaSegment[];
}

interface Packed extends ServedFile {
  /** Of the plan that it belongs to. */
  readonly key: string;
}

export class PackedSegments {
  private readonly plans = new Map<string, Promise<Plan | undefined>>();
  /** In the order of their last use. */
  private readonly packed = new Map<string, Packed>();
  private readonly packing = new Map<string, Promise<Packed | undefined>>();
  private readonly waiting: (() => void)[] = [];
  private active = 0;
  private readonly stopping = new AbortController();

  constructor(private readonly options: PackedSegmentsOptions) {}

  async start(): Promise<void> {
    await rm(this.options.directory, { recursive: true, force: true });
    await mkdir(this.options.directory, { recursive: true, mode: 0o700 });
  }

  /** Ends what is packed, and removes all. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('stopping'));
    await Promise.allSettled(this.packing.values());
    await rm(this.options.directory, { recursive: true, force: true });
  }

  /**
   * @param base version of the same name that the receiver has; undefined: none
   * @returns undefined when one of the versions does not stand here, or there is no such segment
   * @throws when a tree lacks what its manifest has: it is damaged
   */
  async find(image: ImageVersion, base: string | undefined, segment: number): Promise<ServedFile | undefined> {
    return this.kept(`${image.name}@${image.version} ${base ?? ''} ${segment}`, (id) =>
      this.make(id, image, base, segment),
    );
  }

  /** The manifest, packed against that of a version which the receiver has. @returns undefined as {@link find} */
  async findManifest(image: ImageVersion, base: string): Promise<ServedFile | undefined> {
    return this.kept(`${image.name}@${image.version} ${base} manifest`, (id) => this.makeManifest(id, image, base));
  }

  private async kept(id: string, make: (id: string) => Promise<Packed | undefined>): Promise<ServedFile | undefined> {
    const there = this.packed.get(id);
    if (there) {
      this.packed.delete(id);
      this.packed.set(id, there);
      return there;
    }
    let made = this.packing.get(id);
    if (!made) {
      made = make(id).finally(() => this.packing.delete(id));
      this.packing.set(id, made);
    }
    return made;
  }

  private async make(
    id: string,
    image: ImageVersion,
    base: string | undefined,
    number: number,
  ): Promise<Packed | undefined> {
    const segment = (await this.plan(image, base))?.segments[number];
    if (!segment) return undefined;
    const { layout } = this.options.images;
    const root = (version: string): string => join(layout.version({ name: image.name, version }), VERSION_FILES.root);
    return this.pack(id, image, (scratch, file) =>
      packSegment(
        {
          ...{ segment, next: root(image.version), scratch, signal: this.stopping.signal },
          base: root(base ?? image.version),
          ...(base === undefined && { level: WHOLE_LEVEL }),
        },
        file,
      ),
    );
  }

  private async makeManifest(id: string, image: ImageVersion, base: string): Promise<Packed | undefined> {
    const { images } = this.options;
    const from = { name: image.name, version: base };
    for (const version of [image, from]) if ((await images.find(version)).state !== 'complete') return undefined;
    const [known, next] = [images.layout.manifest(from), images.layout.manifest(image)];
    return this.pack(id, image, (_scratch, file) => packDocument(known, next, file, this.stopping.signal));
  }

  /** @param work writes the file; the directory is its own */
  private async pack(
    id: string,
    image: ImageVersion,
    work: (scratch: string, file: string) => Promise<void>,
  ): Promise<Packed> {
    await this.enter();
    const { directory } = this.options;
    const scratch = await mkdtemp(join(directory, 'packing-'));
    try {
      const file = join(scratch, 'packed');
      await work(scratch, file);
      const digest = await digestOf(file);
      const path = join(directory, digest);
      await rename(file, path);
      const key = `${image.name}@${image.version}`;
      const made = { path, bytes: (await stat(path)).size, etag: `"sha256:${digest}"`, type: 'application/zstd', key };
      this.packed.set(id, made);
      await this.makeRoom();
      return made;
    } finally {
      await rm(scratch, { recursive: true, force: true });
      this.leave();
    }
  }

  private plan(image: ImageVersion, base: string | undefined): Promise<Plan | undefined> {
    const key = `${image.name}@${image.version} ${base ?? ''}`;
    const known = this.plans.get(key);
    if (known) return known;
    const made = this.makePlan(image, base);
    this.plans.set(key, made);
    // One that failed, or of a version that does not stand here, is made again.
    void made.then(
      (plan) => plan ?? this.plans.delete(key),
      () => this.plans.delete(key),
    );
    for (const oldest of this.plans.keys()) {
      if (this.plans.size <= PLANS) break;
      this.plans.delete(oldest);
    }
    return made;
  }

  private async makePlan(image: ImageVersion, base: string | undefined): Promise<Plan | undefined> {
    const next = await this.manifest(image);
    const from = base === undefined ? undefined : await this.manifest({ name: image.name, version: base });
    if (!next || (base !== undefined && !from)) return undefined;
    return { segments: planDelta(from?.entries ?? [], next.entries) };
  }

  private async manifest(image: ImageVersion): Promise<ImageManifest | undefined> {
    const { images } = this.options;
    return (await images.find(image)).state === 'complete' ? images.manifest(image) : undefined;
  }

  /** Removes those that were not asked for longest; one that is being sent stays readable for its receiver. */
  private async makeRoom(): Promise<void> {
    let bytes = [...this.packed.values()].reduce((sum, file) => sum + file.bytes, 0);
    for (const [id, file] of this.packed) {
      if (bytes <= this.options.mostBytes || this.packed.size === 1) return;
      this.packed.delete(id);
      bytes -= file.bytes;
      if (![...this.packed.values()].some(({ path }) => path === file.path)) await rm(file.path, { force: true });
    }
  }

  private async enter(): Promise<void> {
    if (this.active >= PACKING) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.active++;
  }

  private leave(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.active--;
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 ** 2 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
