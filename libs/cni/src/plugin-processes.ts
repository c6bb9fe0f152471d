/** Plugins that go on after the agent that ran them was killed: they are found by their environment. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '@plinth/host-os';

const VARIABLE = 'CNI_CONTAINERID=';

/**
 * Waits for them, because a plugin that is killed may leave half of its work; kills those that take longer.
 * @param containerIds whose plugins
 * @returns how many were killed
 */
export async function endPlugins(containerIds: ReadonlySet<string>, patienceMs: number): Promise<number> {
  if (containerIds.size === 0) return 0;
  for (const until = performance.now() + patienceMs; performance.now() < until; await delay(50))
    if (pluginsOf(containerIds).length === 0) return 0;
  let killed = 0;
  // What is killed may just have started another one.
  for (let left = pluginsOf(containerIds); left.length > 0; left = pluginsOf(containerIds)) {
    for (const pid of left) if (kill(pid)) killed += 1;
    await delay(5);
  }
  return killed;
}

function pluginsOf(containerIds: ReadonlySet<string>): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      // A container's processes may have any environment.
      if (pidNamespace(pid) !== pidNamespace('self')) return false;
      const found = environment(pid).find((variable) => variable.startsWith(VARIABLE));
      return found !== undefined && containerIds.has(found.slice(VARIABLE.length));
    });
}

function pidNamespace(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
}

function environment(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch (error) {
    // It has ended, or is one that even root may not look at.
    if (hasCode(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return [];
    throw error;
  }
}

function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false;
    throw error;
  }
}
