/** Files of the page, read once; `scripts/build.mjs` puts them beside the program. */
import { Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const TYPES = {
  'index.html': 'text/html; charset=utf-8',
  'console.js': 'text/javascript; charset=utf-8',
  'console.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly packed: Buffer;
  /** Entity tag (RFC 9110). */
  readonly tag: string;
}

@Injectable()
export class PageFiles {
  private readonly files: ReadonlyMap<string, PageFile>;

  /** @throws when one is missing: the program was not built whole */
  constructor() {
    this.files = new Map(
      Object.entries(TYPES).map(([name, type]) => {
        const bytes = readFileSync(new URL(`./page/${name}`, import.meta.url));
        const tag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
        return [name, { type, bytes, packed: gzipSync(bytes), tag }];
      }),
    );
  }

  get(name: string): PageFile {
    const file = this.files.get(name);
    if (!file) throw new Error(`the page has no file ${name}`);
    return file;
  }
}
