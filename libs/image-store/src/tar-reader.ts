/**
 * Reads a tar file in pieces: ustar, with the long names of GNU tar and extended headers (pax, POSIX.1-2008). It calls
 * back as it reads, and keeps nothing but an unfinished header.
 */
import type { MemberHeader } from './archive-members.js';

const BLOCK = 512;
/** An archive of ours needs a few thousand at most. */
const MAX_LONG_HEADER = 4 * 1024 ** 2;
const TYPES: Readonly<Record<string, string>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'contiguous-file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
};

export interface TarMembers {
  /** @returns whether to read on */
  begin(header: MemberHeader): boolean;
  /** A part of the content, valid during the call. @returns whether to read on */
  content(bytes: Buffer): boolean;
  /** The content is complete. @returns whether to read on */
  end(): boolean;
}

/** What a long header changes in the next one. */
interface Extension {
  name?: string;
  linkname?: string;
  pax?: Record<string, string>;
}

export class TarReader {
  private readonly block = Buffer.alloc(BLOCK);
  private blockBytes = 0;
  /** Bytes of content that are still to come. */
  private left = 0;
  /** Bytes after the content, up to the next block. */
  private padding = 0;
  private long: { readonly type: string; readonly chunks: Buffer[] } | undefined;
  private extension: Extension = {};
  private globals: Record<string, string> = {};

  constructor(private readonly members: TarMembers) {}

  /** @returns false when a callback wants no more. @throws TarError */
  push(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length;) {
      if (this.left > 0) {
        const bytes = chunk.subarray(at, at + this.left);
        at += bytes.length;
        this.left -= bytes.length;
        if (!this.take(bytes)) return false;
      } else if (this.padding > 0) {
        const skipped = Math.min(this.padding, chunk.length - at);
        at += skipped;
        this.padding -= skipped;
      } else if (this.blockBytes === 0 && chunk.length - at >= BLOCK) {
        if (!this.header(chunk.subarray(at, at + BLOCK))) return false;
        at += BLOCK;
      } else {
        const copied = chunk.copy(this.block, this.blockBytes, at, at + BLOCK - this.blockBytes);
        at += copied;
        this.blockBytes = (this.blockBytes + copied) % BLOCK;
        if (this.blockBytes === 0 && !this.header(this.block)) return false;
      }
    }
    return true;
  }

  /** @throws TarError when the file ends in the middle of a member */
  finish(): void {
    if (this.left > 0 || this.padding > 0 || this.blockBytes > 0 || this.long)
      throw new TarError('Unexpected end of data');
  }

  private take(bytes: Buffer): boolean {
    if (!this.long) return this.members.content(bytes) && (this.left > 0 || this.members.end());
    this.long.chunks.push(Buffer.from(bytes));
    if (this.left === 0) this.endLong();
    return true;
  }

  private header(block: Buffer): boolean {
    const decoded = decodeHeader(block);
    if (!decoded) return true;
    const { flag } = decoded;
    if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
      if (!isSize(decoded.size)) throw new TarError('a header has no valid size');
      if (decoded.size > MAX_LONG_HEADER) throw new TarError('a header exceeds max size');
      this.long = { type: flag, chunks: [] };
      this.expect(decoded.size);
      if (decoded.size === 0) this.endLong();
      return true;
    }
    const { name = decoded.name, linkname = decoded.linkname, pax } = this.extension;
    const extensions = { ...this.globals, ...pax };
    this.extension = {};
    const size = extensions['size'] === undefined ? decoded.size : Number.parseInt(extensions['size'], 10);
    if (!isSize(size)) throw new TarError('a header has no valid size');
    const member: MemberHeader = {
      name: extensions['path'] || name,
      linkname: extensions['linkpath'] || linkname,
      type: TYPES[flag] ?? null,
      mode: decoded.mode,
      uid: decoded.uid,
      gid: decoded.gid,
      mtime: decoded.mtime,
      size,
      extensions,
    };
    if (!this.members.begin(member)) return false;
    this.expect(size);
    return size > 0 || this.members.end();
  }

  private expect(size: number): void {
    this.left = size;
    this.padding = (BLOCK - (size % BLOCK)) % BLOCK;
  }

  private endLong(): void {
    const { type, chunks } = this.long ?? { type: '', chunks: [] };
    this.long = undefined;
    const body = Buffer.concat(chunks);
    if (type === 'L') this.extension.name = text(body, 0, body.length);
    else if (type === 'K') this.extension.linkname = text(body, 0, body.length);
    else if (type === 'x') this.extension.pax = decodePax(body);
    else this.globals = { ...this.globals, ...decodePax(body) };
  }
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

export class TarError extends Error {
  override readonly name = 'TarError';
}

interface DecodedHeader {
  readonly flag: string;
  readonly name: string;
  readonly linkname: string | null;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
}

/** @returns undefined for a block of zeros */
function decodeHeader(block: Buffer): DecodedHeader | undefined {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  if (sum === 8 * 0x20) return undefined;
  if (octal(block, 148, 8) !== sum) throw new TarError('a header has a wrong checksum');
  const magic = block.toString('latin1', 257, 263);
  if (magic !== 'ustar\0' && magic !== 'ustar ') throw new TarError('a header has an unknown format');
  const prefix = magic === 'ustar\0' && block[345] !== 0 ? `${text(block, 345, 500)}/` : '';
  const flag = block.toString('latin1', 156, 157);
  const linkname = text(block, 157, 257);
  return {
    flag,
    name: prefix + text(block, 0, 100),
    linkname: linkname === '' ? null : linkname,
    mode: octal(block, 100, 8),
    uid: octal(block, 108, 8),
    gid: octal(block, 116, 8),
    size: octal(block, 124, 12),
    mtime: octal(block, 136, 12),
  };
}

function text(block: Buffer, from: number, to: number): string {
  const end = block.indexOf(0, from);
  return block.toString('utf8', from, end < 0 || end > to ? to : end);
}

/** Octal digits between spaces, or the big-endian number of GNU tar for what does not fit; NaN for anything else. */
function octal(block: Buffer, from: number, length: number): number {
  const first = block[from] ?? 0;
  let at = from;
  const to = from + length;
  if (first === 0x80 || first === 0xff) {
    let value = 0;
    for (at++; at < to; at++) value = value * 256 + (first === 0xff ? 255 - (block[at] ?? 0) : (block[at] ?? 0));
    return first === 0xff ? -1 - value : value;
  }
  while (at < to && block[at] === 0x20) at++;
  let value = 0;
  for (; at < to; at++) {
    const digit = (block[at] ?? 0) - 0x30;
    if (digit === -0x30 || digit === 0x20 - 0x30) break;
    if (digit < 0 || digit > 7) return Number.NaN;
    value = value * 8 + digit;
  }
  return value;
}

/** Records of `<length> <keyword>=<value>\n`; the length counts the whole record. */
function decodePax(body: Buffer): Record<string, string> {
  const records: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const length = space < 0 || space - at > 10 ? Number.NaN : Number(body.toString('latin1', at, space));
    const equals = body.indexOf(0x3d, space);
    if (
      !Number.isSafeInteger(length) ||
      length <= 0 ||
      at + length > body.length ||
      equals < 0 ||
      equals >= at + length
    )
      throw new TarError('an extended header is not valid');
    records[body.toString('utf8', space + 1, equals)] = body.toString('utf8', equals + 1, at + length - 1);
    at += length;
  }
  return records;
}
