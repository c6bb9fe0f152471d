/** What a PostgreSQL that was killed leaves behind: orphaned processes and its lock file. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { linkOfProcess, processIds } from './kernel-tables.js';
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
  return processIds().flatMap((pid) => {
    const identity = identify(pid);
    const isIn = linkOfProcess(pid, 'cwd') === data && basename(linkOfProcess(pid, 'exe')) === 'postgres';
    return identity && isIn ? [identity] : [];
  });
}
