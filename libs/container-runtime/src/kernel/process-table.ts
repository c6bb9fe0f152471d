/**
 * Depends on: /proc as proc(5) describes it, which the kernel keeps stable; `task/<tid>/children` needs
 * CONFIG_PROC_CHILDREN, which distributions set. Seen with Linux 6.18.
 * Noticed by: oci-runtime.int-spec.ts, each time a container is read.
 * Instead: nothing.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot (proc(5), /proc/pid/stat field 22). */
  readonly startTime: number;
}

/** When a process started, in clock ticks after boot; undefined when there is none, or only its remains (a zombie). */
export function processStartTime(pid: number): number | undefined {
  const fields = fieldsOf(pid);
  return fields === undefined ? undefined : Number(fields[19]);
}

/** Pid of the process that began it, or that has taken its place; undefined when there is no such process. */
export function parentOf(pid: number): number | undefined {
  const fields = fieldsOf(pid);
  return fields === undefined ? undefined : Number(fields[1]);
}

/** Those of /proc/<pid>/stat from the state on; undefined for a zombie too. */
function fieldsOf(pid: number): readonly string[] | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name in parentheses may hold anything, so count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields;
}

export function isRunning(identity: ProcessIdentity): boolean {
  return processStartTime(identity.pid) === identity.startTime;
}

/** argv of a process; undefined when it is gone, empty for a zombie or a kernel thread. */
export function processArguments(pid: number): readonly string[] | undefined {
  const text = readProc(`/proc/${pid}/cmdline`);
  return text === undefined ? undefined : text.split('\0').slice(0, -1);
}

/** A process and all its descendants, parents first; empty when it is gone. */
export function processTree(pid: number): readonly number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`);
  if (children === undefined) return [];
  return [
    pid,
    ...children
      .split(' ')
      .filter((word) => word !== '')
      .flatMap((word) => processTree(Number(word))),
  ];
}

/**
 * Processes with `word` among their arguments whose program is called one of `names`. Reads all of /proc: for recovery
 * only.
 */
export function findProcesses(names: readonly string[], word: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const argv = processArguments(pid) ?? [];
      const program = argv[0]?.split('/').at(-1) ?? '';
      return names.includes(program) && argv.includes(word);
    });
}

/** Sends a signal; false when there is no such process any more. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // ESRCH: it ended between open and read.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
