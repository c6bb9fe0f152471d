/**
 * Which ids of the host the users of a container are. A claim is a symbolic link, named by the range's number, to the
 * bundle of its container: made by one system call that fails when the range is taken, seen by all agents of the
 * machine, and gone after a reboot, as the containers are.
 */
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { hasCode, tryTransientLock } from '@plinth/host-os';
import { RANGE_SIZE } from '../spec/oci-config.js';

/** systemd's range for containers, 524,288 to 1,879,048,191 (UIDS-GIDS.md of systemd), in ranges. */
const FIRST_RANGE = 8;
const RANGES = 28_664;
export const ID_RANGES_DIRECTORY = '/run/plinth/ids';

export interface IdRangesOptions {
  readonly directory: string;
  readonly first: number;
  readonly count: number;
  /** Whether a container without a bundle still has processes. */
  readonly isAlive: (bundle: string) => boolean;
}

export class IdRanges {
  private readonly options: IdRangesOptions;

  constructor(options: Partial<IdRangesOptions> = {}) {
    this.options = {
      directory: ID_RANGES_DIRECTORY,
      first: FIRST_RANGE,
      count: RANGES,
      isAlive: () => false,
      ...options,
    };
  }

  /**
   * The range of a container: the same at each start as long as it is free, because it follows from its id.
   * @param bundle an existing directory; the claim holds as long as it does
   * @returns the host's id of the container's root; undefined: every range is taken
   */
  claim(id: string, bundle: string): number | undefined {
    const { count } = this.options;
    const home = Number.parseInt(id.slice(0, 8), 16) % count;
    for (const swept of [false, true]) {
      if (swept && !this.sweep()) return undefined;
      for (let offset = 0; offset < count; offset += 1) {
        const range = this.options.first + ((home + offset) % count);
        if (this.take(range, bundle)) return range * RANGE_SIZE;
      }
    }
    return undefined;
  }

  /** @param hostId undefined: it is not known whether there is a claim; all are looked at */
  release(bundle: string, hostId: number | undefined): void {
    const ranges = hostId === undefined ? this.claimed() : [String(hostId / RANGE_SIZE)];
    for (const range of ranges) if (this.holder(range) === bundle) rmSync(this.pathOf(range), { force: true });
  }

  /** How many ranges are taken, and how many there are. */
  usage(): { readonly taken: number; readonly of: number } {
    return { taken: this.claimed().length, of: this.options.count };
  }

  private take(range: number, bundle: string): boolean {
    const path = this.pathOf(String(range));
    for (;;) {
      try {
        symlinkSync(bundle, path);
        return true;
      } catch (error) {
        if (hasCode(error, 'EEXIST')) return this.holder(String(range)) === bundle;
        // It is not there yet, or the last agent that shut down has removed it meanwhile.
        if (!hasCode(error, 'ENOENT')) throw error;
        mkdirSync(this.options.directory, { recursive: true, mode: 0o700 });
      }
    }
  }

  /** Removes the claims of containers that are gone with their state directory. @returns whether there was one */
  private sweep(): boolean {
    const lock = tryTransientLock(`${this.options.directory}.lock`);
    if (!lock) return false;
    try {
      const dead = this.claimed().filter((range) => {
        const bundle = this.holder(range);
        return bundle !== undefined && !existsSync(bundle) && !this.options.isAlive(bundle);
      });
      for (const range of dead) rmSync(this.pathOf(range), { force: true });
      return dead.length > 0;
    } finally {
      lock.release();
    }
  }

  private claimed(): readonly string[] {
    const { directory } = this.options;
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  private holder(range: string): string | undefined {
    try {
      return readlinkSync(this.pathOf(range));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  private pathOf(range: string): string {
    return `${this.options.directory}/${range}`;
  }
}

/** Ranges of this machine that no container has. */
export function freeIdRanges(): number {
  const { taken, of } = new IdRanges().usage();
  return of - taken;
}
