/**
 * Tarballs and layouts that recipes name: below one directory of this machine, or fetched and checked against their
 * digest.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { BuildRefusal } from '../../domain/build-refusal.js';
import type { RecipeSource } from '../../domain/recipe.js';

type RootfsSource = Extract<RecipeSource, { kind: 'rootfs' }>;

const MAX_TARBALL_BYTES = 32 * 1024 ** 3;
const STALLED_MS = 60_000;

export class SourceFiles {
  /** @param root PLINTH_SOURCES_DIR; absent: recipes may name nothing on this machine */
  constructor(private readonly root: string | undefined) {}

  /** @returns path of a tarball whose digest is the recipe's */
  async tarball(source: RootfsSource, scratch: string, signal: AbortSignal): Promise<string> {
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    const copy = join(scratch, 'rootfs.tar');
    const content =
      source.url !== undefined
        ? await download(source.url, signal)
        : (await this.openFile(source.path ?? '')).createReadStream();
    // The copy is checked and then used: the original may change in between.
    const digest = await copyHashing(content, copy, signal);
    if (digest !== source.sha256)
      throw new BuildRefusal('source-mismatch', `from.rootfs does not match the recipe: its SHA-256 is ${digest}`);
    return copy;
  }

  async directory(path: string): Promise<string> {
    const found = await this.inside(path);
    if (!(await stat(found)).isDirectory()) throw new BuildRefusal('source-unavailable', `${path} is not a directory`);
    return found;
  }

  private async openFile(path: string): Promise<FileHandle> {
    const found = await this.inside(path);
    if (!(await stat(found)).isFile()) throw new BuildRefusal('source-unavailable', `${path} is not a file`);
    return open(found, constants.O_RDONLY | constants.O_NOFOLLOW);
  }

  /** A path of a recipe is below the sources directory, as an absolute path of this machine or as seen from there. */
  private async inside(path: string): Promise<string> {
    if (this.root === undefined)
      throw new BuildRefusal(
        'source-unavailable',
        'this builder has no sources directory (PLINTH_SOURCES_DIR); use a url',
      );
    try {
      const root = await realpath(this.root);
      const asked = path === this.root || path.startsWith(this.root + sep) ? path : join(this.root, path);
      const real = await realpath(asked);
      if (real.startsWith(root + sep)) return real;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    throw new BuildRefusal('source-unavailable', `${path} does not exist in the sources directory of this builder`);
  }
}

async function download(url: string, signal: AbortSignal): Promise<Readable> {
  try {
    const response = await fetch(url, { signal, redirect: 'follow', headers: { 'accept-encoding': 'identity' } });
    if (response.ok && response.body) return Readable.fromWeb(response.body as ReadableStream);
    await response.body?.cancel();
    throw new BuildRefusal('source-unavailable', `${new URL(url).host} answered ${response.status} for the rootfs`);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BuildRefusal) throw error;
    throw new BuildRefusal('source-unavailable', `${new URL(url).host} could not be reached for the rootfs`, {
      cause: error,
    });
  }
}

async function copyHashing(content: Readable, target: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(target, 'wx', 0o600);
  const stalled = setTimeout(
    () => content.destroy(new BuildRefusal('source-unavailable', 'the download of the rootfs has stalled')),
    STALLED_MS,
  );
  const abort = (): void => void content.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  let bytes = 0;
  try {
    for await (const chunk of content as AsyncIterable<Buffer>) {
      stalled.refresh();
      bytes += chunk.length;
      if (bytes > MAX_TARBALL_BYTES)
        throw new BuildRefusal('source-mismatch', `the rootfs is larger than ${MAX_TARBALL_BYTES} bytes`);
      hash.update(chunk);
      await file.writeFile(chunk);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BuildRefusal || (error as NodeJS.ErrnoException).code === 'ENOSPC') throw error;
    throw new BuildRefusal('source-unavailable', 'the rootfs could not be read to its end', { cause: error });
  } finally {
    clearTimeout(stalled);
    signal.removeEventListener('abort', abort);
    await file.close();
  }
  return hash.digest('hex');
}
