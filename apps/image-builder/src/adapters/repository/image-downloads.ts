/** The files of images in production, as HTTP sends them: they never change, so their digests are read once. */
import { Inject, Injectable } from '@nestjs/common';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type SignedStatement, VERSION_FILES } from '@plinth/contracts';
import { isDeltaFile } from '@plinth/image-delta';
import type { ServedFile } from '@plinth/image-transfer';
import { digestOfFile } from './archive.js';
import { ImageRepository } from './image-repository.js';
import { isMissing } from '../tree/image-tree.js';

const REMEMBERED = 10_000;

@Injectable()
export class ImageDownloads {
  private readonly etags = new Map<string, string>();

  constructor(@Inject(ImageRepository) private readonly repository: ImageRepository) {}

  /** @returns undefined for any path that is not one of the three files of a version in production */
  async find(name: string, version: string, file: string): Promise<ServedFile | undefined> {
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
  async findInDelta(directory: string, file: string): Promise<ServedFile | undefined> {
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
