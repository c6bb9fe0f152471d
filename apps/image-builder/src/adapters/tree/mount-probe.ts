/**
 * Tests a running container's mounts from outside, through its root in /proc, which works for every image, also for one
 * without a shell. Probe files have random names, are made exclusively and never through a link.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { isWithin } from '../../domain/recipe-paths.js';
import type { MountPlan } from '@plinth/contracts';
import { isMissing } from './image-tree.js';

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
export async function probeReadOnly(pid: number, plan: MountPlan): Promise<string | undefined> {
  for (const path of READ_ONLY_PLACES) {
    if (plan.places.some((place) => isWithin(path, place.path))) continue;
    const code = await tryWriting(pid, path);
    if (code === undefined) return `${path} took a write, but the tree is to be read-only`;
    if (code !== 'EROFS' && code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP')
      return `a write to ${path} ended with ${code}, not with EROFS`;
  }
  return undefined;
}

/** @returns what is wrong, or undefined */
export async function probeWritable(pid: number, plan: MountPlan): Promise<string | undefined> {
  for (const { path } of plan.places) {
    const code = await tryWriting(pid, path);
    if (code !== undefined) return `${path} is to be writable, but a write ended with ${code}`;
  }
  return undefined;
}

/** @returns undefined when a file could be written and read back; it is gone again */
async function tryWriting(pid: number, path: string): Promise<string | undefined> {
  const text = randomBytes(16).toString('hex');
  const probe = `/proc/${pid}/root${path === '/' ? '' : path}/.plinth-probe-${text}`;
  try {
    const file = await open(
      probe,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    return (await readFile(probe, 'utf8')) === text ? undefined : 'EIO';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return code;
  } finally {
    await rm(probe, { force: true }).catch((error: unknown) => {
      if (!isMissing(error) && (error as NodeJS.ErrnoException).code !== 'EROFS') throw error;
    });
  }
}
