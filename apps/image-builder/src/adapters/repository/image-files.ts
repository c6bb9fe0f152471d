/**
 * The files of one image under construction: its tree with the mount script, then archive, manifest and statement
 * beside each other.
 */
import { mkdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  archiveFileName,
  canonicalJson,
  type Digest,
  type ImageManifest,
  type SignedStatement,
  VERSION_FILES,
} from '@plinth/contracts';
import { digestOfFile, packArchive } from './archive.js';

export class ImageFiles {
  private constructor(
    /** Holds `root/` and `mount.sh`. */
    private readonly version: string,
    /** Holds what is published. */
    readonly finished: string,
  ) {}

  /** @param work empty directory that is this build's own */
  static async create(work: string): Promise<ImageFiles> {
    const files = new ImageFiles(join(work, 'version'), join(work, 'finished'));
    await mkdir(files.version, { mode: 0o755 });
    return files;
  }

  /** Path of the tree; the source that fills it creates it. */
  get root(): string {
    return join(this.version, VERSION_FILES.root);
  }

  /** @param time seconds since the epoch */
  async writeMountScript(script: string, time: number): Promise<void> {
    const path = join(this.version, VERSION_FILES.mountScript);
    await writeFile(path, script, { mode: 0o755 });
    await utimes(path, time, time);
  }

  /** @param onProgress 0 to 1 */
  async pack(
    { name, version, entries, totals }: ImageManifest,
    signal: AbortSignal,
    onProgress: (fraction: number) => void,
  ): Promise<{ readonly digest: Digest; readonly bytes: number }> {
    await mkdir(this.finished, { mode: 0o755 });
    const archive = join(this.finished, archiveFileName(name, version));
    // A tar has a header of at least 512 bytes for each entry.
    const expected = totals.bytes + 1_024 * entries.length;
    await packArchive(this.version, entries, archive, signal, (bytes) => onProgress(bytes / expected));
    return { digest: await digestOfFile(archive), bytes: (await stat(archive)).size };
  }

  /** @returns the text whose digest is signed */
  async writeManifest(manifest: ImageManifest): Promise<string> {
    const text = canonicalJson(manifest);
    await writeFile(join(this.finished, VERSION_FILES.manifest), text, { mode: 0o644 });
    return text;
  }

  async writeStatement(statement: SignedStatement): Promise<void> {
    await writeFile(join(this.finished, VERSION_FILES.statement), canonicalJson(statement), { mode: 0o644 });
  }
}
