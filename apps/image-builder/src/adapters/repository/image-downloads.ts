/** The files of images in production, as HTTP sends them: they never change, so their digests are read once. */
import { Inject, Injectable } from '@nestjs/common';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type SignedStatement, VERSION_FILES } from '@plinth/contracts';
import { isDeltaFile } from '@plinth/image-delta';
import { digestOfFile } from './archive.js';
import { ImageRepository } from './image-repository.js';
import { isMissing } from '../tree/image-tree.js';

export interface Download {
  readonly path: string;
  readonly bytes: number;
  /** Strong: the digest, in quotes. */
  readonly etag: string;
  readonly type: string;
}

const REMEMBERED = 10_000;

@Injectable()
export class ImageDownloads {
  private readonly etags = new Map<string, string>();

  constructor(@Inject(ImageRepository) private readonly repository: ImageRepository) {}

  /** @returns undefined for any path that is not one of the three files of a version in production */
  async find(name: string, version: string, file: string): Promise<Download | undefined> {
    const known = this.repository.productionFile(name, version, file);
    if (!known) return undefined;
    try {
      const found = await stat(known.path);
      const type = file.endsWith('.json') ? 'application/json' : 'application/zstd';
      return { path: known.path, bytes: found.size, etag: await this.etag(known.path, file), type };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** @param directory of a finished delta; returns undefined for a file that it does not have */
  async findInDelta(directory: string, file: string): Promise<Download | undefined> {
    if (!isDeltaFile(file)) return undefined;
    const path = join(directory, file);
    try {
      const found = await stat(path);
      const type = file.endsWith('.json') ? 'application/json' : 'application/zstd';
      return { path, bytes: found.size, etag: await this.etag(path, file), type };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Sends bytes `start` to `end` inclusive; a receiver that disconnects ends it. */
  async stream(download: Download, start: number, end: number, target: Writable): Promise<void> {
    if (end < start) {
      target.end();
      return;
    }
    try {
      await pipeline(createReadStream(download.path, { start, end, highWaterMark: 256 * 1024 }), target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ECONNRESET' && code !== 'EPIPE') throw error;
    }
  }

  private async etag(path: string, file: string): Promise<string> {
    const known = this.etags.get(path);
    if (known !== undefined) return known;
    if (this.etags.size >= REMEMBERED) this.etags.clear();
    const etag = `"${await digestOf(path, file)}"`;
    this.etags.set(path, etag);
    return etag;
  }
}

async function digestOf(path: string, file: string): Promise<string> {
  if (file === VERSION_FILES.statement || isDeltaFile(file)) return digestOfFile(path);
  const statement = JSON.parse(await readFile(join(dirname(path), VERSION_FILES.statement), 'utf8')) as SignedStatement;
  return file === VERSION_FILES.manifest ? statement.manifestDigest : statement.archiveDigest;
}
