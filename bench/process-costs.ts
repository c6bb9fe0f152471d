/** What processes cost, from /proc. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** proc(5): USER_HZ. */
const TICKS_PER_SECOND = 100;

export interface ProcessCosts {
  /** Processor time so far, of all its threads, s. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly inotifyInstances: number;
}

export function processCosts(pid: number): ProcessCosts {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    residentBytes: Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    descriptors: links.length,
    inotifyInstances: links.filter((link) => link.includes('inotify')).length,
  };
}

/** Pids whose arguments have both words. */
export function processesWith(program: string, word: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const argv = argumentsOf(pid);
      return argv.some((argument) => argument.endsWith(program)) && argv.some((argument) => argument.includes(word));
    });
}

/** The machine's use of resources that can run out. */
export function machineCounts(): Readonly<Record<string, number>> {
  const names = readdirSync('/proc');
  const keys =
    readFileSync('/proc/key-users', 'utf8')
      .split('\n')
      .find((line) => /^\s*0:/.test(line)) ?? '';
  return {
    processes: names.filter((name) => /^\d+$/.test(name)).length,
    'open files': Number(readFileSync('/proc/sys/fs/file-nr', 'utf8').split('\t')[0]),
    "root's keys": Number(/(\d+)\/\d+ \d+\/\d+$/.exec(keys.trimEnd())?.[1] ?? 0),
    "lines of the host's mount table": readFileSync('/proc/1/mounts', 'utf8').trimEnd().split('\n').length,
    'cgroups with pids': Number(/^pids\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/cgroups', 'utf8'))?.[1] ?? 0),
    'MiB available': Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) / 1024,
    'MiB of kernel slabs': Number(/^Slab:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) / 1024,
  };
}

/** The limit that a process has for one resource: `Max open files`. */
export function limitOf(pid: number, name: string): string {
  return new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1] ?? 'unknown';
}

function argumentsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    // It was closed in between.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
