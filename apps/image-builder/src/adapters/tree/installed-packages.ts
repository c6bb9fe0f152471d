/**
 * Which Debian packages a finished tree lists as installed: dpkg's status file, and the files of `status.d` that images
 * without dpkg have.
 */
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImagePackage } from '@plinth/contracts';
import { MAX_PACKAGES, parseDpkgStatus, sortPackages } from '../../domain/dpkg-status.js';
import { type ImageTree, isMissing } from './image-tree.js';

/** Ten times the size for a full desktop. A larger file is no list of packages. */
const MAX_BYTES = 32 * 1024 ** 2;
const STATUS = '/var/lib/dpkg/status';
const STATUS_DIRECTORY = '/var/lib/dpkg/status.d';

export async function installedPackages(tree: ImageTree): Promise<readonly ImagePackage[]> {
  let room = MAX_BYTES;
  const read = async (hostPath: string): Promise<ImagePackage[]> => {
    const found = await lstat(hostPath).catch(ifMissing(undefined));
    if (!found?.isFile() || found.size > room) return [];
    room -= found.size;
    return parseDpkgStatus(await readFile(hostPath, 'utf8'));
  };
  const packages = await read(await tree.resolve(STATUS));
  const directory = await tree.resolve(STATUS_DIRECTORY);
  const names = await readdir(directory).catch(ifMissing<string[]>([]));
  for (const name of names.sort().slice(0, MAX_PACKAGES)) {
    if (!name.endsWith('.md5sums')) packages.push(...(await read(join(directory, name))));
  }
  return sortPackages(packages).slice(0, MAX_PACKAGES);
}

function ifMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isMissing(error)) return value;
    throw error;
  };
}
