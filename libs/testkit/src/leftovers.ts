/**
 * What a test run has left on the machine: processes, mounts, cgroups, network interfaces, files. The run has a random
 * id; the directory of its temporary files is named after it, so that the id stands in the command line, the
 * environment, a path or a mount of all that the run began. What others made meanwhile, another run of the same tests
 * included, has no such mark.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  cgroupHierarchies,
  directoriesIn,
  linkOfProcess,
  mountTargets,
  processIds,
  readProcess,
} from '@plinth/local-servers';

/** Variable of the tests, all services and the containers' monitors. */
export const RUN_VARIABLE = 'PLINTH_TEST_RUN';
const RUNTIME_STATE = '/run/plinth';
/** Links to the bundles of containers that have a range of user ids. */
const ID_RANGES = '/run/plinth/ids';
/** Name of an agent's directory there. */
const INSTANCE = /^[0-9a-f]{12}$/;
const TABLE_PREFIX = 'plinth_';
/** `plinth-monitors.<instance>`: the group of the processes that outlive an agent. */
const MONITORS = 'monitors';
/** All agents of a machine share it, as they do `names`. */
const RESOLVER_GROUP = 'plinth-resolver';

export interface SeenProcess {
  readonly pid: number;
  readonly parent: number;
  /** Command line, words separated by spaces. */
  readonly command: string;
  /**
   * Environment, working directory, program and root; and the root mount's line of mountinfo: a container's leads to
   * its image.
   */
  readonly traces: readonly string[];
}

export interface SeenCgroup {
  /** Directory; one for each hierarchy. */
  readonly path: string;
  readonly pids: readonly number[];
}

export interface MachineState {
  readonly processes: readonly SeenProcess[];
  /** Lines of mountinfo of the namespace that the calling process is in. */
  readonly mounts: readonly string[];
  /** Groups of containers and builds. */
  readonly cgroups: readonly SeenCgroup[];
  readonly interfaces: readonly string[];
  /** Names of nftables tables of agents: `plinth_<instance>`. */
  readonly tables: readonly string[];
  /** Directories of agents, /run/plinth/<instance>, and the runtime state of containers below them. */
  readonly runtimeState: readonly string[];
  /** What lies in the directories that were asked about. */
  readonly files: readonly string[];
}

/** @param directories of temporary files: what lies in them is listed */
export function readMachineState(directories: readonly string[]): MachineState {
  return {
    processes: processIds().flatMap((pid) => seenProcess(pid)),
    mounts: readProcess(process.pid, 'mountinfo').split('\n').filter(Boolean),
    cgroups: cgroupHierarchies().flatMap(seenCgroups),
    interfaces: directoriesAndLinks('/sys/class/net'),
    tables: agentTables(),
    runtimeState: directoriesIn(RUNTIME_STATE).flatMap((instance) => [
      // The agent's own directory, but not what all agents of a machine share: `ids`, `names`, `cni`.
      ...(INSTANCE.test(instance) ? [join(RUNTIME_STATE, instance)] : []),
      ...['r', 's'].flatMap((part) => {
        const below = join(RUNTIME_STATE, instance, part);
        return directoriesAndLinks(below).map((name) => join(below, name));
      }),
    ]),
    files: [
      ...directories.flatMap((directory) => directoriesAndLinks(directory).map((name) => join(directory, name))),
      ...directoriesAndLinks(ID_RANGES).map(
        (range) => `${join(ID_RANGES, range)} -> ${linkOf(join(ID_RANGES, range))}`,
      ),
    ],
  };
}

/**
 * Pure: one line for people each; empty when nothing is left. An empty cgroup and runtime state bear no mark: they are
 * the run's when they are new, no process names their container or host, and no other run of tests is on the machine.
 * @param before groups, interfaces and runtime state that were there are not the run's
 * @param self pid of the calling process: it and the ones that began it are left out
 */
export function findRunLeftovers(runId: string, before: MachineState, after: MachineState, self: number): string[] {
  const { living, marked, ours } = processesOfRun(runId, after, self);
  const foreign = living.filter(({ pid }) => !marked.has(pid));
  /** A process of another run names one of these. */
  const isSpokenOf = (...names: readonly string[]): boolean =>
    foreign.some(
      ({ pid, command, traces }) =>
        !ours.has(pid) && [command, ...traces].some((text) => names.some((name) => text.includes(name))),
    );
  const mayBeAnothers = foreign.some(({ traces }) => traces.some((text) => text.includes(`${RUN_VARIABLE}=`)));
  const isLeftGroup = ({ path, pids }: SeenCgroup): boolean => {
    if (path.includes(runId) || pids.some((pid) => ours.has(pid))) return true;
    if (!isNew(groupsBefore, path) || pids.length > 0 || mayBeAnothers) return false;
    const [container = '', instance = ''] = lastOf(path)
      .replace(/^plinth-/, '')
      .split('.');
    const directory = `${RUNTIME_STATE}/${instance}/`;
    return container === MONITORS ? !isSpokenOf(directory) : !isSpokenOf(container, directory);
  };
  const isNew = (list: readonly string[], item: string): boolean => !list.includes(item);
  const groupsBefore = before.cgroups.map(({ path }) => path);
  return [
    ...living.filter(({ pid }) => ours.has(pid)).map(({ pid, command }) => `process ${pid}: ${command.slice(0, 200)}`),
    ...after.mounts.filter((line) => line.includes(runId)).map((line) => `mount ${mountTargets(line)[0]}`),
    ...after.cgroups
      .filter(isLeftGroup)
      .map(({ path, pids }) => `cgroup ${path}${pids.length === 0 ? '' : ` (${pids.join(' ')})`}`),
    ...after.interfaces
      .filter((name) => /^(?:plinth|plc|plt)/.test(name) && isNew(before.interfaces, name) && !mayBeAnothers)
      .map((name) => `network interface ${name}`),
    ...after.tables
      .filter(
        (name) =>
          isNew(before.tables, name) &&
          !mayBeAnothers &&
          !isSpokenOf(`${RUNTIME_STATE}/${name.slice(TABLE_PREFIX.length)}/`),
      )
      .map((name) => `nftables table ${name}`),
    ...after.runtimeState
      .filter((path) => isNew(before.runtimeState, path) && !mayBeAnothers && !isSpokenOf(instanceIn(path)))
      .map((path) => `runtime state ${path}`),
    ...after.files.filter((path) => path.includes(runId)).map((path) => `file ${path}`),
  ];
}

/**
 * Pure: the processes that a run has begun, by pid, without the caller and those that began it.
 * @returns `living`: all others of the machine; `marked`: those of the run that bear its id; `ours`: these and all that
 * they began, such as a container's processes, which have any environment
 */
export function processesOfRun(
  runId: string,
  { processes }: MachineState,
  self: number,
): {
  readonly living: readonly SeenProcess[];
  readonly marked: ReadonlySet<number>;
  readonly ours: ReadonlySet<number>;
} {
  const spared = ancestors(processes, self);
  const isOfRun = ({ command, traces }: SeenProcess): boolean =>
    [command, ...traces].some((text) => text.includes(runId));
  const living = processes.filter(({ pid, command }) => !spared.has(pid) && command !== '');
  const marked = new Set(living.filter(isOfRun).map(({ pid }) => pid));
  return { living, marked, ours: withChildren(living, marked) };
}

/** `/run/plinth/<instance>/r/x` → `/run/plinth/<instance>/` */
const instanceIn = (path: string): string => `${RUNTIME_STATE}/${path.split('/')[3] ?? ''}/`;
const lastOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

function ancestors(processes: readonly SeenProcess[], self: number): ReadonlySet<number> {
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]));
  const found = new Set<number>();
  for (let pid: number | undefined = self; pid !== undefined && pid > 0 && !found.has(pid); pid = parents.get(pid))
    found.add(pid);
  return found;
}

function withChildren(processes: readonly SeenProcess[], roots: ReadonlySet<number>): ReadonlySet<number> {
  const found = new Set(roots);
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const { pid, parent } of processes) if (found.has(parent)) found.add(pid);
  }
  return found;
}

function seenProcess(pid: number): SeenProcess[] {
  const stat = readProcess(pid, 'stat');
  // proc(5): the name in parentheses may hold anything; state and parent follow it.
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === undefined || parent === undefined || state === 'Z') return [];
  const words = (file: string): string => readProcess(pid, file).split('\0').filter(Boolean).join(' ');
  const root = readProcess(pid, 'mountinfo')
    .split('\n')
    .find((line) => line.split(' ')[4] === '/');
  const links = (['cwd', 'exe', 'root'] as const).map((name) => linkOfProcess(pid, name));
  return [{ pid, parent: Number(parent), command: words('cmdline'), traces: [words('environ'), ...links, root ?? ''] }];
}

/** `<hierarchy>/plinth-<container>`, `plinth-monitors.<instance>` and `<hierarchy>/plinth-build-<id>`. */
function seenCgroups(hierarchy: string): SeenCgroup[] {
  const parents = directoriesIn(hierarchy).filter((name) => name.startsWith('plinth') && name !== RESOLVER_GROUP);
  const groups = parents.flatMap((name) =>
    name === 'plinth' ? directoriesIn(join(hierarchy, name)).map((child) => join(name, child)) : [name],
  );
  return groups.map((group) => ({ path: join(hierarchy, group), pids: processesIn(join(hierarchy, group)) }));
}

function processesIn(group: string): number[] {
  const own = quietly(() => readFileSync(join(group, 'cgroup.procs'), 'utf8'), '')
    .split('\n')
    .filter(Boolean)
    .map(Number);
  return [...own, ...directoriesIn(group).flatMap((child) => processesIn(join(group, child)))];
}

/** A machine without nftables has none. */
function agentTables(): string[] {
  const { error, stdout } = spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' });
  if (error && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  const names = (stdout ?? '').split('\n').map((line) => line.split(' ')[2] ?? '');
  return names.filter((name) => name.startsWith(TABLE_PREFIX));
}

function directoriesAndLinks(path: string): string[] {
  return quietly(() => readdirSync(path), []);
}

function linkOf(path: string): string {
  return quietly(() => readlinkSync(path), '');
}

/**
 * A group or directory may be removed while it is read; the processes of a threaded group (ENOTSUP) are listed by the
 * group above.
 */
function quietly<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'ENOTDIR', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return otherwise;
    throw error;
  }
}
