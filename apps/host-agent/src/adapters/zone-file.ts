/**
 * The names that this agent knows, as a file for the resolver of the machine; libs/names has its format. On a memory
 * file system: it is written again by each agent's start.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { hasCode, isMissing } from '@plinth/host-os';
import {
  goneLine,
  headerLine,
  LOG_FILE,
  PID_FILE,
  RESOLVER_ID,
  setLine,
  ZONE_SUFFIX,
  type ZoneHeader,
} from '@plinth/names';
import type { NameChange, NamedContainer } from '../domain/named-containers.js';

export const NAMES_DIRECTORY = '/run/plinth/names';
/** Lines that are out of date, besides as many as there are names. */
const SPARE_LINES = 1_000;
const TRIES = 3;

/** Of the network that this process is in: two networks of a machine have a resolver each. */
export function namesDirectory(): string {
  return join(NAMES_DIRECTORY, /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0');
}

export class ZoneFile {
  private readonly path: string;
  private fd: number | undefined;
  private inode = 0n;
  private lines = 0;
  /** As it was written. */
  private head = '';

  /** @param instance distinguishes the agents of one machine */
  constructor(
    readonly directory: string,
    instance: string,
    private readonly header: () => ZoneHeader,
  ) {
    this.path = join(directory, `${instance}${ZONE_SUFFIX}`);
  }

  /** @param all what is known after the changes */
  change(changes: readonly NameChange[], all: () => readonly NamedContainer[]): void {
    if (changes.length === 0) return;
    if (this.fd === undefined || this.lines > SPARE_LINES) {
      const containers = all();
      if (this.fd === undefined || this.lines > 2 * containers.length + SPARE_LINES) {
        this.write(containers);
        return;
      }
    }
    const text = changes.map((change) => (change.kind === 'set' ? setLine(change.container) : goneLine(change.id)));
    try {
      writeWhole(this.fd, text.join(''));
      this.lines += changes.length;
    } catch (error) {
      // Half a line may be there: the whole file is written again, now or with the next change.
      this.close();
      if (!hasCode(error, 'ENOSPC', 'EDQUOT', 'EIO')) throw error;
      this.write(all());
    }
  }

  /** Replaces the file; without containers there is none. */
  write(containers: readonly NamedContainer[]): void {
    this.close();
    if (containers.length === 0) {
      rmSync(this.path, { force: true });
      return;
    }
    this.head = headerLine(this.header());
    const temporary = join(this.directory, `.${process.pid}.tmp`);
    for (let tries = 1; ; tries += 1) {
      try {
        makeDirectory(this.directory);
        writeFileSync(temporary, this.head + containers.map(setLine).join(''), { mode: 0o600 });
        const fd = openSync(temporary, 'a');
        fchownSync(fd, 0, RESOLVER_ID);
        fchmodSync(fd, 0o640);
        renameSync(temporary, this.path);
        this.fd = fd;
        break;
      } catch (error) {
        rmSync(temporary, { force: true });
        // A resolver that has just ended has removed the directory.
        if (!isMissing(error) || tries === TRIES) throw error;
      }
    }
    this.inode = statSync(this.path, { bigint: true }).ino;
    this.lines = containers.length;
  }

  /** false: its header is to be another one. */
  get isCurrent(): boolean {
    return this.fd === undefined || headerLine(this.header()) === this.head;
  }

  /** false: it could not be written, or another program has taken it away. */
  get isWritten(): boolean {
    if (this.fd === undefined) return false;
    return statSync(this.path, { bigint: true, throwIfNoEntry: false })?.ino === this.inode;
  }

  /**
   * Takes the file away, and the directory with the last one: then the resolver ends at once.
   * @returns whether it was the last one
   */
  remove(): boolean {
    this.close();
    rmSync(this.path, { force: true });
    if (!existsSync(this.directory)) return true;
    if (readdirSync(this.directory).some((name) => name.endsWith(ZONE_SUFFIX))) return false;
    for (const name of [PID_FILE, LOG_FILE]) rmSync(join(this.directory, name), { force: true });
    for (const path of [this.directory, dirname(this.directory)]) removeEmpty(path);
    return true;
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

/** The resolver may list and read it, and write nothing there: what agents write is written as root. */
function makeDirectory(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chownSync(path, 0, RESOLVER_ID);
  chmodSync(path, 0o750);
}

function writeWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EBUSY')) throw error;
  }
}
