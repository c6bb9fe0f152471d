/** Directories of installations in progress: below `staging/`, never visible as a version. */
import { chmod, mkdir, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VERSION_FILES } from '@plinth/contracts';
import { imageOfStaging, type ImageVersion, StoreLayout } from './domain/store-layout.js';
import { DELTA_PART } from './delta-download.js';
import { validatorOf } from './archive-download.js';
import { hasCode, tryTransientLock } from '@plinth/host-os';

export class Staging {
  constructor(private readonly layout: StoreLayout) {}

  async prepare(): Promise<void> {
    for (const directory of this.layout.directories) await mkdir(directory, { recursive: true, mode: 0o755 });
    await mkdir(this.layout.objects, { recursive: true, mode: 0o700 });
    // Earlier versions of this service made it for all readers.
    await chmod(this.layout.objects, 0o700);
  }

  async downloadedBytes(image: ImageVersion): Promise<number> {
    const part = await stat(this.layout.download(image)).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    });
    return part?.size ?? 0;
  }

  /**
   * Makes an empty directory that only this user may enter: a setuid file of a partly verified image must not be
   * reachable.
   */
  async freshTree(image: ImageVersion): Promise<string> {
    const parent = this.layout.stagingOf(image);
    await mkdir(parent, { recursive: true, mode: 0o700 });
    return mkdtemp(join(parent, 'tree-'));
  }

  /** @param use gets the descriptor of the downloaded archive, which is closed afterwards */
  async withDownload<T>(image: ImageVersion, use: (descriptor: number) => Promise<T>): Promise<T> {
    const archive = await open(this.layout.download(image), 'r');
    try {
      return await use(archive.fd);
    } finally {
      await archive.close();
    }
  }

  /** Adds the files beside the tree, and opens the directory to all readers of installed versions. */
  async complete(tree: string, manifest: Uint8Array, statement: Uint8Array): Promise<void> {
    await writeFile(join(tree, VERSION_FILES.manifest), manifest, { flag: 'wx', mode: 0o644 });
    await writeFile(join(tree, VERSION_FILES.statement), statement, { flag: 'wx', mode: 0o644 });
    const directory = await open(tree, 'r');
    await directory.chmod(0o755).finally(() => directory.close());
  }

  /** @param keepDownload keep the received bytes, to continue later */
  async clean(image: ImageVersion, keepDownload: boolean): Promise<void> {
    const directory = this.layout.stagingOf(image);
    if (!keepDownload) return rm(directory, { recursive: true, force: true });
    const part = this.layout.download(image);
    const kept = new Set([part, validatorOf(part)]);
    const found = await readdir(directory).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    });
    for (const file of found) {
      const path = join(directory, file);
      if (!kept.has(path) && !file.startsWith(DELTA_PART)) await rm(path, { recursive: true, force: true });
    }
  }

  /**
   * Removes leftovers of earlier processes; an installation in progress in another process is locked,
   * and stays.
   */
  async cleanLeftovers(wanted: (image: ImageVersion) => boolean): Promise<void> {
    for (const directory of await readdir(this.layout.staging)) {
      const image = imageOfStaging(directory);
      if (!image) {
        await rm(join(this.layout.staging, directory), { recursive: true, force: true });
        continue;
      }
      const lock = tryTransientLock(this.layout.lock(image));
      if (!lock) continue;
      try {
        await this.clean(image, wanted(image));
      } finally {
        lock.release();
      }
    }
  }
}
