/** Leases as files: `leases/<host>.json` on a storage node, `lease.json` in the host's state directory. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import type { HeldLeases } from '../domain/lease.js';
import { isMissing, syncPath, writeInPlace } from '@plinth/host-os';

export const LOCAL_LEASES = 'lease.json';
/** Lock file that the guard holds. */
export const GUARD_LOCK = 'guard.lock';
const LEASES = 'leases';
/** Reads of a file that is being written at the same time. */
const READS = 50;

/** Time since the boot, suspended time included, in milliseconds; resolution 10 ms. */
export const sinceBootMs = (): number => uptime() * 1000;

/** Writes a renewal of the host's lease to the storage node. @throws when the node is not mounted */
export async function renewLease(storageDirectory: string, host: string, ttlSeconds: number): Promise<void> {
  // An empty mount point is the host's own disk.
  await syncPath(join(storageDirectory, 'images'));
  const directory = join(storageDirectory, LEASES);
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await writeInPlace(
    join(directory, `${host}.json`),
    JSON.stringify({ host, renewal: randomBytes(16).toString('hex'), ttlSeconds }),
    // Distributors read it, under any user.
    { mode: 0o644, flushed: true },
  );
}

/** @returns undefined when there is no readable lease */
export async function readRenewal(storageDirectory: string, host: string): Promise<string | undefined> {
  try {
    const { renewal } = JSON.parse(await readFile(join(storageDirectory, LEASES, `${host}.json`), 'utf8')) as {
      renewal?: unknown;
    };
    return typeof renewal === 'string' ? renewal : undefined;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export async function writeHeldLeases(hostDirectory: string, leases: HeldLeases): Promise<void> {
  await writeInPlace(join(hostDirectory, LOCAL_LEASES), JSON.stringify(leases), { flushed: false });
}

export function readHeldLeases(hostDirectory: string): HeldLeases | undefined {
  for (let attempt = 1; ; attempt++) {
    try {
      const found = JSON.parse(readFileSync(join(hostDirectory, LOCAL_LEASES), 'utf8')) as Partial<HeldLeases>;
      const { bootId, deadlines, terms } = found;
      return typeof bootId === 'string' && deadlines && terms ? { bootId, deadlines, terms } : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      if (!(error instanceof SyntaxError)) throw error;
      // The file is being written at this moment.
      if (attempt === READS) return undefined;
    }
  }
}
