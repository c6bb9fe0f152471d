/** The images in a directory of this machine: which are complete, how one becomes visible, and how one is removed. */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type ImageManifest,
  type ManifestEntry,
  NAME_PATTERN,
  type SignedStatement,
  VERSION_FILES,
  VERSION_PATTERN,
} from '@plinth/contracts';
import { repairTree, type TreeProblem } from '@plinth/image-store';
import { parseDocument } from './domain/json-document.js';
import { type ImageVersion, StoreLayout } from './domain/store-layout.js';
import { digestOf } from '@plinth/image-trust';
import { type FileLock, hasCode, syncFileSystem, syncPath, tryTransientLock, writeDurably } from '@plinth/host-os';

export interface InstalledImage extends ImageVersion {
  readonly contentDigest: string;
  readonly mountScriptDigest: string;
  readonly unpackedBytes: number;
}

export type Standing =
  | { readonly state: 'absent' }
  | { readonly state: 'complete'; readonly installed: InstalledImage }
  /** Its directory exists and is not a complete version. */
  | {
      readonly state: 'damaged';
      readonly problem: string;
      /** It was whole once, and is repaired from its repository. */
      readonly repairable?: true;
    };

export class InstalledImages {
  /** Cache: installed versions never change, so each is read once. */
  private readonly known = new Map<string, Standing & { readonly state: 'complete' }>();

  constructor(readonly layout: StoreLayout) {}

  async find(image: ImageVersion): Promise<Standing> {
    const directory = this.layout.version(image);
    const exists = await stat(directory).then(() => true, onlyIf('ENOENT', false));
    if (!exists) {
      this.known.delete(directory);
      return { state: 'absent' };
    }
    if (await stat(this.layout.damage(image)).then(() => true, onlyIf('ENOENT', false)))
      return { state: 'damaged', problem: 'a check has found damage, which is being repaired', repairable: true };
    const known = this.known.get(directory);
    if (known) return known;
    const standing = await this.read(image);
    if (standing.state === 'complete') this.known.set(directory, standing);
    return standing;
  }

  async list(): Promise<{ readonly image: ImageVersion; readonly standing: Standing }[]> {
    const names = (await readdir(this.layout.images)).filter((name) => NAME_PATTERN.test(name));
    const images: ImageVersion[] = [];
    for (const name of names) {
      const versions = await readdir(`${this.layout.images}/${name}`).catch(onlyIf('ENOTDIR', []));
      images.push(...versions.filter((version) => VERSION_PATTERN.test(version)).map((version) => ({ name, version })));
    }
    const found = [];
    for (const image of images) found.push({ image, standing: await this.find(image) });
    return found.filter(({ standing }) => standing.state !== 'absent');
  }

  /** Of a complete master. */
  async manifest(image: ImageVersion): Promise<ImageManifest> {
    return parseDocument(await readFile(this.layout.manifest(image))) as ImageManifest;
  }

  /** @returns undefined when another process of this machine, or another task of this one, works on the version */
  tryLock(image: ImageVersion): FileLock | undefined {
    return tryTransientLock(this.layout.lock(image));
  }

  /**
   * Makes a complete version directory visible. The caller holds the image's lock, and nothing stands in its place.
   * The order survives a power cut: contents on disk, then the name, then the name on disk.
   */
  async publish(staged: string, image: ImageVersion): Promise<void> {
    const target = this.layout.version(image);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await syncPath(this.layout.images);
    await syncFileSystem(staged);
    await rename(staged, target);
    await syncPath(dirname(target));
  }

  /**
   * Moves a version's directory below its staging directory by one rename; it is deleted there later.
   * The caller holds the image's lock.
   * @returns where it is now; undefined: there was no directory
   */
  async withdraw(image: ImageVersion): Promise<string | undefined> {
    const standing = this.layout.version(image);
    const exists = await lstat(standing).then(() => true, onlyIf('ENOENT', false));
    if (!exists) return undefined;
    const staging = this.layout.stagingOf(image);
    await mkdir(staging, { recursive: true, mode: 0o700 });
    const withdrawn = join(staging, `withdrawn-${randomBytes(4).toString('hex')}`);
    await rename(standing, withdrawn);
    this.known.delete(standing);
    // The removal survives a power cut before it is reported.
    await syncPath(dirname(standing));
    return withdrawn;
  }

  /** Durable when it returns: from now on nothing is started on the version. The caller holds the image's lock. */
  async markDamaged(image: ImageVersion, problems: readonly TreeProblem[], at: Date): Promise<void> {
    const marker = { at: at.toISOString(), count: problems.length, problems: problems.slice(0, 100) };
    await writeDurably(this.layout.damage(image), `${JSON.stringify(marker)}\n`);
  }

  /** The caller has checked the version, and holds the image's lock. */
  async clearDamage(image: ImageVersion): Promise<void> {
    await rm(this.layout.damage(image), { force: true });
    await syncPath(this.layout.version(image));
  }

  /** Puts right what a check has found, with the files of a fresh tree; durable when it returns. */
  async repair(
    image: ImageVersion,
    tree: string,
    entries: readonly ManifestEntry[],
    problems: readonly TreeProblem[],
  ): Promise<void> {
    const roots = [this.layout.version(image), tree].map((directory) => join(directory, VERSION_FILES.root));
    const [standing = '', fresh = ''] = roots;
    repairTree(standing, fresh, entries, problems, join(tree, 'repair.new'));
    await syncFileSystem(standing);
  }

  /** Size and free space of the file system, bytes. */
  async space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    const { blocks, bavail, bsize } = await statfs(this.layout.root);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  }

  /** Checks the documents but not the tree, which became visible only after every file had been verified. */
  private async read(image: ImageVersion): Promise<Standing> {
    try {
      const [manifestText, statementText, script] = await Promise.all([
        readFile(this.layout.manifest(image)),
        readFile(this.layout.statement(image)),
        readFile(this.layout.mountScript(image)),
      ]);
      const statement = parseDocument(statementText) as SignedStatement | undefined;
      if (digestOf(manifestText) !== statement?.manifestDigest)
        return { state: 'damaged', problem: 'manifest.json is not the one that was signed' };
      const manifest = parseDocument(manifestText) as ImageManifest;
      if (manifest.name !== image.name || manifest.version !== image.version)
        return { state: 'damaged', problem: `it is ${manifest.name}@${manifest.version}` };
      if (digestOf(script) !== manifest.mountScript.digest)
        return { state: 'damaged', problem: 'mount.sh is not the one of the manifest' };
      const { contentDigest, mountScript, totals } = manifest;
      return {
        state: 'complete',
        installed: { ...image, contentDigest, mountScriptDigest: mountScript.digest, unpackedBytes: totals.bytes },
      };
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR'))
        return { state: 'damaged', problem: 'a part of it is missing' };
      throw error;
    }
  }
}

function onlyIf<T>(code: string, value: T): (error: unknown) => T {
  return (error) => {
    if (hasCode(error, code)) return value;
    throw error;
  };
}
