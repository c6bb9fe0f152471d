/** Finds the first process of new namespaces from outside of them. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { identify, isAlive, type ProcessIdentity, processIds, readProcess } from '@plinth/local-servers';
import { LabError } from './plan.js';

const PAUSE_MS = 3;
const PATIENCE_MS = 20_000;

/**
 * Of the process that `command` and the programs between start: the one that counts itself as the first one, `depth`
 * process namespaces below ours.
 * @throws LabError when the command ends without it
 */
export async function firstProcess(
  command: ProcessIdentity,
  depth: number,
  stderr: () => string,
): Promise<ProcessIdentity> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await pause(PAUSE_MS)) {
    const found = descendants(command.pid).find((pid) => isFirst(pid, depth));
    const identity = found === undefined ? undefined : identify(found);
    if (identity) return identity;
    if (!isAlive(command))
      throw new LabError(`its namespaces were not made: ${stderr().trim() || 'the program ended'}`);
  }
  throw new LabError(`its first process was not there within ${PATIENCE_MS / 1000} s`);
}

function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [...descendants(child), child]);
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    // The process has ended, or the kernel does not have these files.
    return readProcess(pid, 'stat') === '' ? [] : processIds().filter((other) => parentOf(other) === pid);
  }
}

/** proc(5): the name in parentheses may hold anything. */
function parentOf(pid: number): number {
  const stat = readProcess(pid, 'stat');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** proc(5), NSpid: its number in each process namespace, from ours to its own. */
function isFirst(pid: number, depth: number): boolean {
  const numbers = /^NSpid:\s*(.*)$/m.exec(readProcess(pid, 'status'))?.[1]?.split(/\s+/) ?? [];
  // By then it has become the program that ignores the end of its children.
  return numbers.length === depth + 1 && numbers.at(-1) === '1' && readProcess(pid, 'comm').trim() === 'sleep';
}
