/**
 * Tests a running container's mounts from outside, through its root in /proc, which works for every image, also for one
 * without a shell. Probe files have random names, are made exclusively and never through a link.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import type { MountPlan } from '@plinth/contracts';
import { asFileOwner, codeOf, hasCode } from '@plinth/host-os';
import { isWithin } from '../../domain/recipe-paths.js';

/** Read-only in every container, where the image has them and they are not writable places. */
const READ_ONLY_PLACES = [
  '/',
  '/bin',
  '/boot',
  '/home',
  '/lib',
  '/opt',
  '/sbin',
  '/srv',
  '/usr',
  '/usr/bin',
  '/usr/local',
];

/** @returns what is wrong, or undefined */
export function probeReadOnly(pid: number, plan: MountPlan): string | undefined {
  for (const path of READ_ONLY_PLACES) {
    if (plan.places.some((place) => isWithin(path, place.path))) continue;
    const code = tryWriting(pid, path);
    if (code === undefined) return `${path} took a write, but the tree is to be read-only`;
    if (code !== 'EROFS' && code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP')
      return `a write to ${path} ended with ${code}, not with EROFS`;
  }
  return undefined;
}

/** @returns what is wrong, or undefined */
export function probeWritable(pid: number, plan: MountPlan): string | undefined {
  for (const { path } of plan.places) {
    const code = tryWriting(pid, path);
    if (code !== undefined) return `${path} is to be writable, but a write ended with ${code}`;
  }
  return undefined;
}

/** @returns undefined when a file could be written and read back; it is gone again */
function tryWriting(pid: number, path: string): string | undefined {
  const text = randomBytes(16).toString('hex');
  const probe = `/proc/${pid}/root${path === '/' ? '' : path}/.plinth-probe-${text}`;
  try {
    const [uid, gid] = [rootIn(pid, 'uid_map'), rootIn(pid, 'gid_map')];
    return asFileOwner(uid, gid, () => writeAndRead(probe, text)) ? undefined : 'EIO';
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    return code;
  } finally {
    remove(probe);
  }
}

function writeAndRead(probe: string, text: string): boolean {
  const file = openSync(probe, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
  return readFileSync(probe, 'utf8') === text;
}

function remove(probe: string): void {
  try {
    rmSync(probe, { force: true });
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'EROFS')) throw error;
  }
}

/** This machine's id of a container's root; 0 when its users are the machine's. */
function rootIn(pid: number, map: 'uid_map' | 'gid_map'): number {
  return Number(/^ *0 +(\d+)/.exec(readFileSync(`/proc/${pid}/${map}`, 'utf8'))?.[1] ?? 0);
}
