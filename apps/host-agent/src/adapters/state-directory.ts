/** The layout of PLINTH_HOST_DIR, its marker and its lock. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ID_PATTERN } from '@plinth/contracts';
import { isMissing, removeTemporaries, takeFileLock, writeDurably } from '@plinth/host-os';

export interface StateDirectory {
  readonly root: string;
  /** `<id>/{config,record}.json` */
  readonly containers: string;
  /** `<id>.json`: containers that plugins of CNI have connected. */
  readonly cni: string;
  /** `<tenant number>-<part>.json`: containers of other hosts. */
  readonly neighbours: string;
  /** `<tenant number>.json`: what containers of the tenant may reach. */
  readonly policies: string;
  /** `<id>.<sequence>.json`: reports that the bus has not stored yet. */
  readonly reports: string;
  /** Files of the container runtime: bundles, exit files, logs. */
  readonly runtime: string;
  /** A random text, made once, that marks the containers as those of this directory. */
  readonly marker: string;
}

/** Another agent works on the directory, or it belongs to another host. */
export class StateDirectoryError extends Error {
  override readonly name = 'StateDirectoryError';
}

/** Longer than a child lives whose agent was killed: the namespaces of containers are made by such. */
const CHILDREN_MS = 15_000;

/**
 * Locks the directory for this process; the kernel releases the lock when the process ends in any way.
 * @throws StateDirectoryError
 */
export async function lockStateDirectory(root: string): Promise<{ release(): void }> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const lock = await takeFileLock(join(root, 'lock'), CHILDREN_MS);
  if (!lock) throw new StateDirectoryError(`another host agent works on ${root}; one directory belongs to one agent`);
  return lock;
}

/**
 * Makes missing directories and removes half-written files. The caller holds the lock.
 * @throws StateDirectoryError when it belongs to another host
 */
export async function openStateDirectory(root: string, host: string): Promise<StateDirectory> {
  const directory = (name: string): string => join(root, name);
  const paths = {
    cni: directory('cni'),
    containers: directory('containers'),
    neighbours: directory('neighbours'),
    policies: directory('policies'),
    reports: directory('reports'),
    runtime: directory('runtime'),
  };
  for (const path of Object.values(paths)) await mkdir(path, { recursive: true, mode: 0o700 });
  for (const path of [root, paths.reports, paths.cni]) await removeTemporaries(path, 0);
  return { root, ...paths, marker: await readOrMakeMarker(directory('host.json'), host) };
}

async function readOrMakeMarker(path: string, host: string): Promise<string> {
  try {
    const found = JSON.parse(readFileSync(path, 'utf8')) as { host?: unknown; marker?: unknown };
    if (found.host !== host)
      throw new StateDirectoryError(
        `according to ${path} this directory belongs to host ${JSON.stringify(found.host)}, not ${host}`,
      );
    if (typeof found.marker !== 'string' || !ID_PATTERN.test(found.marker))
      throw new StateDirectoryError(`${path} holds no marker`);
    return found.marker;
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  const marker = randomBytes(16).toString('hex');
  await writeDurably(path, `${JSON.stringify({ host, marker, createdAt: new Date().toISOString() })}\n`);
  return marker;
}
