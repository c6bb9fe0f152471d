/** The images in this host's own store, on disk: which are there, when each was used last, how one comes and goes. */
import { realpathSync } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NAME_PATTERN, parseExactImageRef, VERSION_PATTERN } from '@plinth/contracts';
import { type FileLock, hasCode, takeFileLock, unlessMissing } from '@plinth/host-os';
import {
  type ImageVersion,
  type InstallationJob,
  type InstallationResult,
  InstalledImages,
  installInThread,
  markIfDamaged,
  ObjectDirectory,
  type ProducedImage,
  Staging,
  StoreLayout,
  type TryProgress,
} from '@plinth/image-transfer';
import type { HeldImage } from '../domain/image-supply.js';

/** What is the same for every installation here. */
export type InstallationSettings = Pick<InstallationJob, 'stallMs' | 'trustedKeys' | 'pace'>;

/** The time of a use is written once in this time. */
const USE_PRECISION_MS = 60_000;

/** Another agent fills the store: each would remove what the other's containers run on. */
export class StoreInUseError extends Error {
  override readonly name = 'StoreInUseError';
}

/** Longer than a child lives whose agent was killed. */
const CHILDREN_MS = 15_000;

interface Held {
  lastUsedMs: number;
  damaged: boolean;
}

export class OwnImages {
  readonly layout: StoreLayout;
  private readonly held = new Map<string, Held>();
  private readonly installed: InstalledImages;
  private readonly staging: Staging;
  private readonly objects: ObjectDirectory;
  private bytes = 0;

  private constructor(
    readonly directory: string,
    private readonly settings: InstallationSettings,
  ) {
    this.layout = new StoreLayout(directory);
    this.installed = new InstalledImages(this.layout);
    this.staging = new Staging(this.layout);
    this.objects = new ObjectDirectory(this.layout);
  }

  /**
   * Makes the directory when there is none, and takes it for this process until that ends; what earlier processes have
   * left half done stays for {@link clean}.
   * @throws StoreInUseError
   */
  static async open(directory: string, settings: InstallationSettings): Promise<OwnImages> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // The premount checks allow no symlink in the path of an image.
    const images = new OwnImages(realpathSync(directory), settings);
    if (!(await takeFileLock(join(images.directory, 'agent.lock'), CHILDREN_MS)))
      throw new StoreInUseError(`another host agent uses ${directory}; one store belongs to one agent`);
    await images.staging.prepare();
    await mkdir(images.uses, { recursive: true, mode: 0o700 });
    for (const name of (await readdir(images.layout.images)).filter((entry) => NAME_PATTERN.test(entry)))
      for (const version of await readdir(join(images.layout.images, name)))
        if (VERSION_PATTERN.test(version)) await images.find({ name, version });
    return images;
  }

  /** Removes what earlier processes have left in staging. @param isWanted its download is continued later */
  async clean(isWanted: (image: string) => boolean): Promise<void> {
    await this.staging.cleanLeftovers((image) => isWanted(nameOf(image)));
  }

  /** Whole, and not known to be damaged. */
  has(image: string): boolean {
    return this.held.get(image)?.damaged === false;
  }

  isDamaged(image: string): boolean {
    return this.held.get(image)?.damaged === true;
  }

  list(): readonly HeldImage[] {
    return [...this.held].map(([image, held]) => ({ image, ...held }));
  }

  /** Notes a use, for the order in which images are removed. Its time may be lost with the process. */
  async used(image: string, nowMs: number): Promise<void> {
    const held = this.held.get(image);
    if (!held || nowMs - held.lastUsedMs < USE_PRECISION_MS) return;
    held.lastUsedMs = nowMs;
    await this.noteUse(image, nowMs);
  }

  /** @returns undefined when another task works on the version */
  tryLock(image: string): FileLock | undefined {
    return this.installed.tryLock(versionOf(image));
  }

  /** One try; the caller holds the lock. @throws the signal's reason when it was aborted */
  async install(
    image: ProducedImage,
    job: Pick<InstallationJob, 'turn' | 'token' | 'nice'>,
    nowMs: number,
    signal: AbortSignal,
    onProgress?: (progress: TryProgress) => void,
  ): Promise<InstallationResult> {
    const name = nameOf(image);
    try {
      const result = await installInThread(
        { ...this.settings, ...job, directory: this.directory, image },
        signal,
        onProgress,
      );
      if (result.outcome.ok) {
        await this.noteUse(name, nowMs);
        this.held.set(name, { lastUsedMs: nowMs, damaged: false });
        await this.staging.clean(image, false);
      }
      return result;
    } catch (error) {
      await this.staging.clean(image, true);
      throw error;
    }
  }

  /** From this call on it is not there; nobody uses it, and the caller holds the lock. Its space is free at the end. */
  async remove(image: string, signal: AbortSignal): Promise<void> {
    const held = this.held.get(image);
    this.held.delete(image);
    const version = versionOf(image);
    try {
      const withdrawn = await this.installed.withdraw(version);
      await rm(this.use(image), { force: true });
      await this.collect(signal, withdrawn === undefined ? [] : [withdrawn]);
      await this.staging.clean(version, false);
    } catch (error) {
      // It may still stand: the next look decides.
      if (held) await this.find(version);
      throw error;
    }
  }

  /** Reads it whole, and marks it when it is damaged. @returns what is wrong */
  async check(
    image: string,
    bytesPerSecond: number,
    signal: AbortSignal,
  ): Promise<readonly { readonly path: string; readonly problem: string }[]> {
    const problems = await markIfDamaged(this.installed, this.objects, versionOf(image), bytesPerSecond, signal);
    const held = this.held.get(image);
    if (held && problems.length > 0) held.damaged = true;
    return problems;
  }

  /** Removes objects that no image has, and measures the others. */
  async collect(signal: AbortSignal, trees: readonly string[] = []): Promise<{ readonly removedBytes: number }> {
    const { keptBytes, removedBytes } = await this.objects.collect(signal, trees);
    this.bytes = keptBytes;
    return { removedBytes };
  }

  /** Bytes of the files in the store, as measured last. */
  get usedBytes(): number {
    return this.bytes;
  }

  /** Of the file system, bytes. */
  space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    return this.installed.space();
  }

  /** Bytes that an interrupted download has left. */
  downloadedBytes(image: ImageVersion): Promise<number> {
    return this.staging.downloadedBytes(image);
  }

  private async find(version: ImageVersion): Promise<void> {
    const image = nameOf(version);
    // A version appears by one rename when all of it has been checked.
    const [tree, damage, use] = await Promise.all(
      [this.layout.version(version), this.layout.damage(version), this.use(image)].map((path) =>
        stat(path).catch(unlessMissing(undefined)),
      ),
    );
    if (tree?.isDirectory() === true)
      this.held.set(image, { lastUsedMs: use?.mtimeMs ?? 0, damaged: damage !== undefined });
    else this.held.delete(image);
  }

  private async noteUse(image: string, nowMs: number): Promise<void> {
    const seconds = nowMs / 1_000;
    await utimes(this.use(image), seconds, seconds).catch(async (error: unknown) => {
      if (!hasCode(error, 'ENOENT')) throw error;
      await writeFile(this.use(image), '', { mode: 0o600 });
    });
  }

  private get uses(): string {
    return join(this.directory, 'uses');
  }

  /** Its time of change is that of the last use. */
  private use(image: string): string {
    return join(this.uses, image);
  }
}

function nameOf({ name, version }: ImageVersion): string {
  return `${name}@${version}`;
}

/** @throws Error when it was not validated */
function versionOf(image: string): ImageVersion {
  const version = parseExactImageRef(image);
  if (!version) throw new Error(`${image} is no name and version`);
  return version;
}
