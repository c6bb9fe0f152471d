/** A process is a pid and its start time: pids are used again (proc(5), /proc/pid/stat field 22). */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly startTime: string;
}

/** @returns undefined when there is no such process, or it is a zombie */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    const startTime = fields[19];
    return startTime === undefined || state === 'Z' || state === 'X' ? undefined : { pid, startTime };
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime;
}

/** Signals exactly that process. @returns false when it is gone */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Sends the signal, and SIGKILL after the grace period. Resolves when it is gone, or is still there 5 s after SIGKILL.
 */
export async function endProcess(
  identity: ProcessIdentity,
  signal: NodeJS.Signals,
  graceMs: number,
): Promise<'gone' | 'ended' | 'killed' | 'stuck'> {
  if (!signalProcess(identity, signal)) return 'gone';
  const deadline = performance.now() + graceMs;
  let killed = false;
  while (isAlive(identity)) {
    if (!killed && performance.now() > deadline) killed = signalProcess(identity, 'SIGKILL');
    // The process is in an uninterruptible sleep in the kernel.
    if (performance.now() > deadline + 5_000) return 'stuck';
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return killed ? 'killed' : 'ended';
}
