/**
 * Several machines on one. Each is a process tree with its own processes, network, mounts, host name, IPC and cgroups, and
 * a disk; all of it ends with its first process, and all of the lab with the lab's first process. Only the directories of
 * its cgroups and the lab's own directory remain then: {@link Lab.down} removes them, also long afterwards.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endProcess, identify, isAlive, type ProcessIdentity } from '@plinth/local-servers';
import { amongDisks, besideMachine, labCommand, machineCommand, onBridge } from './commands.js';
import { firstProcess } from './first-process.js';
import { type LabFile, readLabFile, type RecordedMachine, writeLabFile } from './lab-file.js';
import {
  groupsOf,
  hierarchies,
  hierarchyLinks,
  isFrozen,
  makeGroups,
  processesIn,
  removeGroups,
  setFrozen,
} from './machine-groups.js';
import { DISK_PARTS, mountTable, OLD_ROOT } from './machine-root.js';
import { Machine } from './machine.js';
import { bridgeRules, type NetworkFault } from './network-faults.js';
import { hostsFile, LabError, planMachines, PREFIX_LENGTH, type WantedMachine } from './plan.js';
import { mustRun, type RunOptions, runProgram, spawnProgram } from './programs.js';

export interface LabOptions {
  /** Its own, on a file system that is not a machine's; it is made and removed. */
  readonly directory: string;
  readonly machines: readonly WantedMachine[];
  /** `bound`: ends with the process that starts it. */
  readonly life: 'background' | 'bound';
  /** Directories that machines see read-only, where they are on other file systems than `/`. */
  readonly shares?: readonly string[];
  /** Of each machine's disk, which is memory. */
  readonly diskMebibytes?: number;
  /** Called with each machine's name when that runs. */
  readonly onMachine?: (name: string) => void;
}

export interface Limits {
  readonly oneWay?: boolean;
  readonly kibibytesPerSecond?: number;
  readonly lossPercent?: number;
}

const DISK_MEBIBYTES = 4_096;
/** Process namespaces below this machine's. */
const [LAB_DEPTH, MACHINE_DEPTH] = [1, 2];
const GRACE_MS = 10_000;

export class Lab implements AsyncDisposable {
  private readonly handles = new Map<string, Machine>();

  private constructor(
    readonly directory: string,
    private file: LabFile,
  ) {}

  /** @throws LabError when one runs there, or this machine can't have one; what was made by then is removed */
  static async start(options: LabOptions): Promise<Lab> {
    const { directory } = options;
    const machines = planMachines(directory, options.machines);
    if (Lab.find(directory)) throw new LabError(`a lab runs in ${directory}; end it with: plinth lab down`);
    hierarchies();
    await removeRest(directory);
    mkdirSync(directory, { recursive: true });
    const lab = new Lab(directory, {
      id: idOf(directory),
      machines,
      faults: [],
      shares: options.shares ?? [],
      diskMebibytes: options.diskMebibytes ?? DISK_MEBIBYTES,
    });
    lab.record({});
    try {
      await lab.begin(options.life);
      const started = await Promise.allSettled(
        machines.map(async ({ name }) => {
          await lab.powerOn(name);
          options.onMachine?.(name);
        }),
      );
      for (const result of started) if (result.status === 'rejected') throw result.reason;
    } catch (error) {
      await lab.down();
      throw error;
    }
    return lab;
  }

  /** @returns undefined when none runs there */
  static find(directory: string): Lab | undefined {
    const file = readLabFile(directory);
    return file?.first && isAlive(file.first) ? new Lab(directory, file) : undefined;
  }

  get machines(): readonly Machine[] {
    return this.file.machines.map(({ name }) => this.machine(name));
  }

  get faults(): readonly NetworkFault[] {
    return this.file.faults;
  }

  /** @throws LabError */
  machine(name: string): Machine {
    const known = this.handles.get(name);
    if (known) return known;
    this.recorded(name);
    const made = new Machine(this.file.id, () => this.recorded(name));
    this.handles.set(name, made);
    return made;
  }

  /** Nothing passes between them; without a second one, between the first and all others. Of machines or data centres. */
  cut(from: string, to?: string, { oneWay = false }: Pick<Limits, 'oneWay'> = {}): Promise<void> {
    return this.setFaults([...this.file.faults, { kind: 'cut', from, ...(to === undefined ? {} : { to }), oneWay }]);
  }

  slow(from: string, to: string | undefined, { oneWay = false, ...limits }: Limits): Promise<void> {
    return this.setFaults([
      ...this.file.faults,
      { kind: 'slow', from, ...(to === undefined ? {} : { to }), oneWay, ...limits },
    ]);
  }

  /** Ends every fault of the network. */
  heal(): Promise<void> {
    return this.setFaults([]);
  }

  /** Resolves when every process of the machine stands still. */
  async freeze(name: string): Promise<void> {
    if (this.machine(name).state === 'off') throw new LabError(`${name} has no power`);
    await setFrozen(this.file.id, name, true);
  }

  async thaw(name: string): Promise<void> {
    if (this.machine(name).state === 'off') throw new LabError(`${name} has no power`);
    await setFrozen(this.file.id, name, false);
  }

  /**
   * Everything in the machine ends at once; resolves when nothing of it runs. What a program had written stays on its
   * disk, also what it had not flushed: that is memory.
   */
  async powerCut(name: string): Promise<void> {
    const { first } = this.recorded(name);
    if (first && isAlive(first)) {
      process.kill(first.pid, 'SIGKILL');
      // Frozen processes end when they go on.
      if (isFrozen(this.file.id, name)) await setFrozen(this.file.id, name, false);
      await endProcess(first, 'SIGKILL', GRACE_MS);
    }
    await removeGroups(this.file.id, name);
    this.change(name, { first: undefined });
  }

  /** On the disk as it was. */
  async powerOn(name: string): Promise<void> {
    if (this.machine(name).state !== 'off') throw new LabError(`${name} has power`);
    const lab = this.labProcess();
    const machine = this.recorded(name);
    const disk = join(this.directory, 'disks', name);
    makeGroups(this.file.id, name);
    const groups = groupsOf(this.file.id, name);
    const first = await startNamespaces(machineCommand(lab.pid, groups), MACHINE_DEPTH, true);
    this.change(name, { first });
    const inside = (argv: readonly string[], options?: RunOptions): Promise<string> =>
      mustRun(besideMachine(first.pid, argv), options);
    const table = join(this.directory, `${name}.fstab`);
    const names = hierarchies();
    writeFileSync(table, mountTable({ disk, hierarchies: names, shares: this.file.shares }));
    await inside(['mount', '--all', '--fstab', table]);
    const root = join(disk, 'root');
    const seen = join('/proc', String(first.pid), 'root', root);
    mkdirSync(join(seen, OLD_ROOT), { recursive: true });
    writeFileSync(join(seen, 'etc/hosts'), hostsFile(this.file.machines));
    writeFileSync(join(seen, 'etc/hostname'), `${name}\n`);
    for (const { name: link, target } of hierarchyLinks()) symlinkSync(target, join(seen, 'sys/fs/cgroup', link));
    await inside(['pivot_root', root, join(root, OLD_ROOT)]);
    await inside(['umount', '--lazy', join('/', OLD_ROOT)]);
    await inside(['hostname', name]);
    await this.removePort(machine.port);
    await mustRun(onBridge(lab.pid, ['ip', '-batch', '-']), {
      input: [
        `link add ${machine.port} type veth peer name eth0 netns ${first.pid}`,
        `link set ${machine.port} master br0`,
        `link set ${machine.port} up`,
        '',
      ].join('\n'),
    });
    await inside(['ip', '-batch', '-'], {
      input: [
        'link set lo up',
        `address add ${machine.address}/${PREFIX_LENGTH} broadcast + dev eth0`,
        'link set eth0 up',
        '',
      ].join('\n'),
    });
  }

  /** Ends everything and removes all that is left of it; may be repeated, also of a lab whose processes were killed. */
  async down(): Promise<void> {
    const { first } = readLabFile(this.directory) ?? this.file;
    for (const { name } of this.file.machines)
      if (isFrozen(this.file.id, name)) {
        // Killed before it goes on: it must not get to work once more.
        const machine = this.recorded(name).first;
        if (machine && isAlive(machine)) process.kill(machine.pid, 'SIGKILL');
        await setFrozen(this.file.id, name, false);
      }
    if (first) await endProcess(first, 'SIGKILL', GRACE_MS);
    await removeRest(this.directory);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down();
  }

  /** The lab's own namespaces: disks, and the bridge that all machines are connected to. */
  private async begin(life: 'background' | 'bound'): Promise<void> {
    const first = await startNamespaces(labCommand(life), LAB_DEPTH, life === 'background');
    this.record({ first });
    const disks = this.file.machines.map(({ name }) => join(this.directory, 'disks', name));
    for (const disk of disks) mkdirSync(disk, { recursive: true });
    const table = join(this.directory, 'disks.fstab');
    const options = `size=${this.file.diskMebibytes}m,mode=755`;
    writeFileSync(table, disks.map((disk) => `tmpfs ${disk} tmpfs ${options}\n`).join(''));
    await mustRun(amongDisks(first.pid, ['mount', '--all', '--fstab', table]));
    const seen = join('/proc', String(first.pid), 'root');
    for (const disk of disks) for (const part of DISK_PARTS) mkdirSync(join(seen, disk, part));
    await mustRun(onBridge(first.pid, ['ip', '-batch', '-']), {
      input: ['link set lo up', 'link add br0 type bridge', 'link set br0 up', ''].join('\n'),
    });
  }

  private async setFaults(faults: readonly NetworkFault[]): Promise<void> {
    const rules = bridgeRules(this.file.machines, faults);
    await mustRun(onBridge(this.labProcess().pid, ['nft', '--file', '-']), { input: rules });
    this.record({ faults });
  }

  /** The kernel ends a network some time after its last process: a machine's port may outlive its power cut. */
  private async removePort(port: string): Promise<void> {
    const { code, stderr } = await runProgram(onBridge(this.labProcess().pid, ['ip', 'link', 'delete', port]));
    if (code !== 0 && !stderr.includes('Cannot find device'))
      throw new LabError(`the port ${port} could not be removed: ${stderr.trim()}`);
  }

  private labProcess(): ProcessIdentity {
    const { first } = this.file;
    if (!first || !isAlive(first)) throw new LabError('the lab has ended; remove what is left with: plinth lab down');
    return first;
  }

  private recorded(name: string): RecordedMachine {
    const found = this.file.machines.find((machine) => machine.name === name);
    if (found) return found;
    throw new LabError(
      `there is no machine ${name}; there are ${this.file.machines.map((one) => one.name).join(', ')}`,
    );
  }

  private change(name: string, change: Partial<RecordedMachine>): void {
    this.record({
      machines: this.file.machines.map((machine) => (machine.name === name ? { ...machine, ...change } : machine)),
    });
  }

  private record(change: Partial<LabFile>): void {
    this.file = { ...this.file, ...change };
    writeLabFile(this.directory, this.file);
  }
}

/** Removes what is left of a lab in this directory: nothing of it may run. @throws LabError */
export async function removeRest(directory: string): Promise<void> {
  await removeGroups(idOf(directory));
  // The disks were mounted for the lab only: here they are empty directories.
  rmSync(directory, { recursive: true, force: true });
}

/** What is still on the machine of a lab in this directory, a line each: processes, cgroups, files. */
export function leftOf(directory: string): readonly string[] {
  const id = idOf(directory);
  const { first } = readLabFile(directory) ?? {};
  const groups = hierarchies()
    .map((hierarchy) => join('/sys/fs/cgroup', hierarchy, `plinth-lab-${id}`))
    .filter((group) => existsSync(group));
  return [
    ...(first && isAlive(first) ? [`process ${first.pid}`] : []),
    ...groups.map((group) => `cgroup ${group} ${processesIn(group).join(' ')}`.trim()),
    ...(existsSync(directory) ? readdirSync(directory).map((name) => `file ${join(directory, name)}`) : []),
  ];
}

const idOf = (directory: string): string => createHash('sha256').update(directory).digest('hex').slice(0, 12);

/** Starts first processes: @returns the one of the innermost namespace */
async function startNamespaces(argv: readonly string[], depth: number, detached: boolean): Promise<ProcessIdentity> {
  const child = spawnProgram(argv, ['ignore', 'ignore', 'pipe'], detached);
  let printed = '';
  child.stderr?.on('data', (data: Buffer) => (printed += data.toString()));
  const pid = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => resolve(child.pid ?? -1));
  });
  const command = identify(pid);
  if (!command) throw new LabError(`${argv.join(' ')} ended at once: ${printed.trim()}`);
  const first = await firstProcess(command, depth, () => printed);
  // The caller may end before it.
  child.stderr?.destroy();
  child.unref();
  return first;
}
