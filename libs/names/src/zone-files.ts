/**
 * Reads what the agents of a machine write: `<agent>.zone` in one directory, each appended to or replaced. A look costs
 * some system calls, so a name that is not known is looked for on disk before it is denied.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ReadHeader, readChange, readHeader } from './zone-journal.js';
import type { Zones } from './zones.js';

export const ZONE_SUFFIX = '.zone';
const CHUNK_BYTES = 1 << 18;
/** A line of a container has some 300 bytes. */
const LINE_BYTES = 4096;
/** File systems give times of the clock's ticks: two changes of one tick have the same. */
const TICK_MS = 100;

interface OpenFile {
  readonly fd: number;
  readonly inode: bigint;
  offset: number;
  /** The beginning of a line whose end is not written yet. */
  rest: Buffer;
  header: ReadHeader | undefined;
}

export class ZoneFiles {
  private readonly files = new Map<string, OpenFile>();
  private directoryTime = -1n;

  constructor(
    private readonly directory: string,
    private readonly zones: Zones,
    /** Called with a sentence about what is not valid. */
    private readonly complain: (problem: string) => void,
  ) {}

  /** Headers of all agents' files, also of formats that this resolver does not read. */
  get headers(): readonly ReadHeader[] {
    return [...this.files.values()].flatMap(({ header }) => header ?? []);
  }

  /** Reads what is new. @returns whether anything was; false also when the directory is gone */
  refresh(): boolean {
    let changed = this.rescan();
    for (const [name, file] of this.files) if (this.readOn(name, file)) changed = true;
    return changed;
  }

  close(): void {
    for (const name of [...this.files.keys()]) this.leave(name);
  }

  private rescan(): boolean {
    const time = statSync(this.directory, { bigint: true, throwIfNoEntry: false })?.mtimeNs;
    if (time === this.directoryTime && Date.now() - Number(time / 1_000_000n) > TICK_MS) return false;
    this.directoryTime = time ?? -1n;
    const names = time === undefined ? [] : readNames(this.directory);
    let changed = false;
    for (const name of [...this.files.keys()]) {
      if (names.includes(name)) continue;
      this.leave(name);
      changed = true;
    }
    for (const name of names) if (this.open(name)) changed = true;
    return changed;
  }

  private open(name: string): boolean {
    const path = join(this.directory, name);
    const inode = statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
    if (inode === undefined || this.files.get(name)?.inode === inode) return false;
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch (error) {
      // It was replaced or removed at this moment, which the next look shows.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
    this.leave(name);
    const opened = fstatSync(fd, { bigint: true }).ino;
    this.files.set(name, { fd, inode: opened, offset: 0, rest: Buffer.alloc(0), header: undefined });
    return true;
  }

  private leave(name: string): void {
    const file = this.files.get(name);
    if (!file) return;
    closeSync(file.fd);
    this.files.delete(name);
    this.zones.end(name);
  }

  private readOn(name: string, file: OpenFile): boolean {
    if (fstatSync(file.fd).size <= file.offset) return false;
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const read = readSync(file.fd, chunk, 0, chunk.length, file.offset);
      if (read === 0) return true;
      file.offset += read;
      let text = Buffer.concat([file.rest, chunk.subarray(0, read)]);
      for (let end = text.indexOf(10); end >= 0; end = text.indexOf(10)) {
        this.take(name, file, text.toString('utf8', 0, end));
        text = text.subarray(end + 1);
      }
      if (text.length > LINE_BYTES) {
        this.complain(`${name} has a line of more than ${LINE_BYTES} bytes; it is not read`);
        text = Buffer.alloc(0);
      }
      file.rest = Buffer.from(text);
    }
  }

  private take(name: string, file: OpenFile, line: string): void {
    if (!file.header) {
      file.header = readHeader(line);
      if (file.header?.header) this.zones.begin(name, file.header.header);
      else this.complain(`${name} has no header that this resolver reads; its names are not known`);
      // What follows is not read without one.
      file.header ??= { program: '/', builtAtMs: 0 };
      return;
    }
    if (!file.header.header) return;
    const change = readChange(line);
    if (change) this.zones.change(name, change);
    else this.complain(`${name} has a line that is not valid; it is left out`);
  }
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => name.endsWith(ZONE_SUFFIX) && !name.startsWith('.'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
