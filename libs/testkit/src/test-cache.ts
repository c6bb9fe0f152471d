/** What costs time to make and is the same for all test files; no test may write to it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * @param name of the file or directory in `PLINTH_TEST_CACHE`, else in the system's folder for temporary files
 * @param make makes it under a lock, unless it is there; it appears whole or not at all
 * @returns its path
 */
export async function madeOnce(name: string, make: (path: string) => Promise<void>): Promise<string> {
  const cache = process.env['PLINTH_TEST_CACHE'] ?? join(tmpdir(), 'plinth-test-cache');
  const finished = join(cache, name);
  if (existsSync(finished)) return finished;
  mkdirSync(cache, { recursive: true });
  const unlock = await lock(join(cache, 'lock'));
  try {
    if (!existsSync(finished)) await make(finished);
    return finished;
  } finally {
    unlock();
  }
}

/** One test process builds, the others wait for it. The kernel gives the lock back when this process ends. */
async function lock(path: string): Promise<() => void> {
  const holder = spawn('flock', [path, 'sh', '-c', 'echo locked; exec cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await Promise.race([
    once(holder.stdout, 'data'),
    once(holder, 'exit').then(([code]) => {
      throw new Error(`flock ended with ${String(code)}`);
    }),
  ]);
  return () => holder.stdin.end();
}
