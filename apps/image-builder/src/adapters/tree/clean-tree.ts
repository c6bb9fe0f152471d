/** Removes from a tree what differs between two builds, and what must not be shared: identities, caches, logs. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageTree, isMissing } from './image-tree.js';

/** These directories are emptied and stay. Containers have mounts of their own there, or it is a cache. */
const EMPTIED = [
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/tmp',
  '/sw',
  '/data',
  '/.plinth',
  '/var/tmp',
  '/var/lib/apt/lists',
  '/var/cache/apt',
];
/** Only files are removed: services expect their directories below. */
const WITHOUT_FILES = ['/var/log'];
const REMOVED = [
  '/var/cache/ldconfig/aux-cache',
  '/var/lib/dbus/machine-id',
  '/var/lib/systemd/random-seed',
  '/var/lib/systemd/credential.secret',
  '/var/lib/urandom/random-seed',
  '/var/lib/dpkg/status-old',
  '/var/lib/dpkg/diversions-old',
  '/var/lib/dpkg/statoverride-old',
  '/var/lib/dpkg/available-old',
  '/var/cache/debconf/config.dat-old',
  '/var/cache/debconf/templates.dat-old',
  '/etc/passwd-',
  '/etc/group-',
  '/etc/shadow-',
  '/etc/gshadow-',
  '/etc/subuid-',
  '/etc/subgid-',
  '/root/.bash_history',
  '/root/.wget-hsts',
];
const HOST_KEYS = /^ssh_host_[a-z0-9]+_key(?:\.pub)?$/;

/** @param kept paths that the recipe wrote: they stay in any case */
export async function cleanTree(root: string, kept: ReadonlySet<string>): Promise<void> {
  const tree = new ImageTree(root);
  for (const path of EMPTIED) await empty(tree, path, kept);
  for (const path of WITHOUT_FILES) await removeFiles(join(root, path), path, kept);
  for (const path of REMOVED) if (!kept.has(path)) await tree.remove(path);
  for (const name of await namesIn(await tree.resolve('/etc/ssh'))) {
    if (HOST_KEYS.test(name) && !kept.has(`/etc/ssh/${name}`)) await tree.remove(`/etc/ssh/${name}`);
  }
  // Empty means: made at first boot (machine-id(5)).
  if (!kept.has('/etc/machine-id') && (await tree.read('/etc/machine-id')) !== undefined)
    await tree.write('/etc/machine-id', '', 0o444);
}

async function empty(tree: ImageTree, path: string, kept: ReadonlySet<string>): Promise<void> {
  // To follow a link such as /var/tmp → /tmp would empty another directory; its target is in the list itself.
  const hostPath = join(tree.root, path);
  if ((await tree.resolve(path)) !== hostPath) return;
  for (const name of await namesIn(hostPath))
    if (!keeps(kept, `${path}/${name}`)) await rm(join(hostPath, name), { recursive: true, force: true });
}

async function removeFiles(hostPath: string, path: string, kept: ReadonlySet<string>): Promise<void> {
  for (const name of await namesIn(hostPath)) {
    const found = await lstat(join(hostPath, name));
    if (found.isDirectory()) await removeFiles(join(hostPath, name), `${path}/${name}`, kept);
    else if (!kept.has(`${path}/${name}`)) await rm(join(hostPath, name));
  }
}

function keeps(kept: ReadonlySet<string>, path: string): boolean {
  return [...kept].some((one) => one === path || one.startsWith(`${path}/`));
}

/** Names in a real directory; a link or nothing has none. */
async function namesIn(hostPath: string): Promise<string[]> {
  try {
    return (await lstat(hostPath)).isDirectory() ? await readdir(hostPath) : [];
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Permission bits of a path of the image, as they are now; undefined when there is no directory. */
export async function directoryMode(root: string, path: string): Promise<number | undefined> {
  try {
    const found = await lstat(join(root, path));
    return found.isDirectory() ? found.mode & 0o1777 : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
