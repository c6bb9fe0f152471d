/** Leases as files: `leases/<host>.json` on a storage node, `lease.json` in the host's state directory. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import type { HeldLeases } from '../domain/lease.js';
import { isMissing, syncPath, TEMPORARY_SUFFIX, writeWhole } from './durable-file.js';

export const LOCAL_LEASES = 'lease.json';
const LEASES = 'leases';

/** Suspended time counted; hundredths of a second. */
export const sinceBootMs = (): number => uptime() * 1000;

/** Says on the storage node that the host lives. @throws when the node is not there, or full */
export async function renewLease(storageDirectory: string, host: string, ttlSeconds: number): Promise<void> {
  // An empty mount point is the host's own disk.
  await syncPath(join(storageDirectory, 'images'));
  const directory = join(storageDirectory, LEASES);
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const path = join(directory, `${host}.json`);
  // One name per host: a crash leaves no more than one behind.
  const temporary = `${path}${TEMPORARY_SUFFIX}`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o644);
  try {
    await file.writeFile(JSON.stringify({ host, renewal: randomBytes(16).toString('hex'), ttlSeconds }));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** @returns undefined when there is none that can be read */
export async function readRenewal(storageDirectory: string, host: string): Promise<string | undefined> {
  try {
    const { renewal } = JSON.parse(await readFile(join(storageDirectory, LEASES, `${host}.json`), 'utf8')) as { renewal?: unknown };
    return typeof renewal === 'string' ? renewal : undefined;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export async function writeHeldLeases(hostDirectory: string, leases: HeldLeases): Promise<void> {
  await writeWhole(join(hostDirectory, LOCAL_LEASES), JSON.stringify(leases));
}

export function readHeldLeases(hostDirectory: string): HeldLeases | undefined {
  try {
    const found = JSON.parse(readFileSync(join(hostDirectory, LOCAL_LEASES), 'utf8')) as Partial<HeldLeases>;
    const { bootId, deadlines, terms } = found;
    return typeof bootId === 'string' && deadlines && terms ? { bootId, deadlines, terms } : undefined;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
