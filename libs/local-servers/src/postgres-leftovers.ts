/** What a PostgreSQL that was killed leaves behind: orphaned processes and its lock file. */
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { endProcess, identify, isAlive, type ProcessIdentity } from './process-identity.js';

const GRACE_MS = 10_000;

/**
 * Ends a server that still runs on the data (its starter was killed before it was known) and waits for the children of
 * a killed one: they hold the shared memory, and a new server refuses to start beside them. A lock file whose pid was
 * given to another process is harmless then.
 */
export async function clearPostgresLeftovers(data: string): Promise<void> {
  const lock = join(data, 'postmaster.pid');
  const owner = existsSync(lock) ? Number(readFileSync(lock, 'utf8').split('\n')[0]) : 0;
  const running = processesIn(data);
  const postmaster = running.find((identity) => identity.pid === owner);
  if (postmaster) await endProcess(postmaster, 'SIGINT', GRACE_MS);
  const deadline = performance.now() + GRACE_MS;
  for (const child of running) {
    while (isAlive(child) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    await endProcess(child, 'SIGKILL', GRACE_MS);
  }
  rmSync(lock, { force: true });
}

/** PostgreSQL's processes all have their data as working directory. */
function processesIn(data: string): ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const identity = identify(Number(name));
    if (identity && link(`/proc/${name}/cwd`) === data && basename(link(`/proc/${name}/exe`) ?? '') === 'postgres')
      found.push(identity);
  }
  return found;
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
