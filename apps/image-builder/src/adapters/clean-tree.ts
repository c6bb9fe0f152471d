/** Takes from a tree what a build leaves behind and no two builds have alike, and what must not be shared: identities, caches, logs. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { REQUIRED_MOUNT_POINTS } from '@plinth/contracts';
import { BuildRefusal } from '../domain/build-refusal.js';
import { ImageTree, isMissing } from './image-tree.js';

/** Emptied; the directory stays. Containers have mounts of their own there, or it is a cache. */
const EMPTIED = ['/proc', '/sys', '/dev', '/run', '/tmp', '/sw', '/data', '/.plinth', '/var/tmp', '/var/lib/apt/lists', '/var/cache/apt'];
/** Only files go: services expect their directories below. */
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

/** @param kept paths that the recipe wrote: they stay whatever they are */
export async function cleanTree(root: string, kept: ReadonlySet<string>): Promise<void> {
  const tree = new ImageTree(root);
  for (const path of EMPTIED) await empty(tree, path, kept);
  for (const path of WITHOUT_FILES) await removeFiles(join(root, path), path, kept);
  for (const path of REMOVED) if (!kept.has(path)) await tree.remove(path);
  for (const name of await namesIn(await tree.resolve('/etc/ssh'))) {
    if (HOST_KEYS.test(name) && !kept.has(`/etc/ssh/${name}`)) await tree.remove(`/etc/ssh/${name}`);
  }
  // Empty means: made at first boot (machine-id(5)).
  if (!kept.has('/etc/machine-id') && (await tree.read('/etc/machine-id')) !== undefined) await tree.write('/etc/machine-id', '', 0o444);
}

/** Makes every directory that containers are mounted on. @throws BuildRefusal when one is something else, or leads elsewhere */
export async function makeMountPoints(root: string, more: readonly { readonly path: string; readonly mode: number }[]): Promise<void> {
  const tree = new ImageTree(root);
  const modes = new Map(more.map(({ path, mode }) => [path.slice(1), mode]));
  for (const path of new Set([...REQUIRED_MOUNT_POINTS, ...modes.keys()])) {
    const components = path.split('/');
    for (let length = 1; length <= components.length; length++) {
      const at = components.slice(0, length).join('/');
      const found = await lstat(join(root, at)).catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (found === undefined) await tree.directory(`/${at}`, length === components.length ? (modes.get(path) ?? 0o755) : 0o755);
      else if (!found.isDirectory()) throw new BuildRefusal('unsafe-tree', `/${at} must be a real directory, because containers are mounted on /${path}; it is something else`);
    }
  }
}

async function empty(tree: ImageTree, path: string, kept: ReadonlySet<string>): Promise<void> {
  // A link such as /var/tmp → /tmp would have something else emptied; its target is in the list itself.
  const hostPath = join(tree.root, path);
  if ((await tree.resolve(path)) !== hostPath) return;
  for (const name of await namesIn(hostPath)) if (!keeps(kept, `${path}/${name}`)) await rm(join(hostPath, name), { recursive: true, force: true });
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
