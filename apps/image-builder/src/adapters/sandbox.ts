/**
 * Runs a recipe's commands in the image under construction: an OCI container with the tree as its writable root, without the
 * capabilities that reach beyond it, without the builder's environment, by default without a network, with limits.
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, runCaptive, type RunResult } from './process.js';

export interface SandboxCommand {
  readonly root: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** `host`: package mirrors can be reached. */
  readonly network: 'none' | 'host';
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

const MEMORY_BYTES = 4 * 1024 ** 3;
const PROCESSES = 4_096;
/** What dpkg and maintainer scripts need; nothing that mounts, makes devices, loads modules or looks into other processes. */
const CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SYS_CHROOT', 'CAP_SETFCAP'];
/** crun refuses a v2 hierarchy beside v1 controllers; a private tmpfs over it is gone with the mount namespace. $@: the runtime's argv. */
const HIDE_UNIFIED = 'if [ -d /sys/fs/cgroup/unified ]; then mount -t tmpfs tmpfs /sys/fs/cgroup/unified; fi; exec "$@"';

export class Sandbox {
  /** @param directory state of running commands; what a killed builder leaves there is cleaned by {@link cleanUp} */
  constructor(
    private readonly runtime: 'runc' | 'crun',
    private readonly directory: string,
  ) {}

  /** The first OCI runtime that is installed. */
  static async open(directory: string): Promise<Sandbox> {
    for (const runtime of ['runc', 'crun'] as const) {
      const found = await run([runtime, '--version'], { signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
      if (found?.exitCode === 0) return new Sandbox(runtime, directory);
    }
    throw new Error('neither runc nor crun is installed; one of them must be, to run the commands of recipes');
  }

  async run(id: string, command: SandboxCommand): Promise<RunResult> {
    const bundle = join(this.directory, id);
    await mkdir(bundle, { recursive: true, mode: 0o700 });
    try {
      await writeFile(join(bundle, 'config.json'), JSON.stringify(specification(id, command)), { mode: 0o600 });
      const argv = [this.runtime, '--root', join(this.directory, '.state'), 'run', '--bundle', bundle, id];
      return await runCaptive(['sh', '-ec', HIDE_UNIFIED, 'sh', ...argv], { signal: command.signal, onLine: command.onLine });
    } finally {
      await this.remove(id);
    }
  }

  /** Deletes what commands of a killed builder left: the runtime's state, and with it their cgroups. */
  async cleanUp(): Promise<void> {
    for (const id of await readdir(this.directory).catch(() => [])) if (!id.startsWith('.')) await this.remove(id);
  }

  private async remove(id: string): Promise<void> {
    // Fails when the runtime has tidied up itself, which is the usual end.
    await run([this.runtime, '--root', join(this.directory, '.state'), 'delete', '--force', id], { signal: AbortSignal.timeout(30_000) });
    await rm(join(this.directory, id), { recursive: true, force: true });
  }
}

function specification(id: string, command: SandboxCommand): object {
  const nothing = ['nosuid', 'noexec', 'nodev'];
  const namespaces = ['pid', 'ipc', 'uts', 'mount', ...(command.network === 'none' ? ['network'] : [])];
  return {
    ociVersion: '1.0.2',
    hostname: 'build',
    root: { path: command.root, readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0, umask: 0o022 },
      args: command.argv,
      env: Object.entries(command.env).map(([name, value]) => `${name}=${value}`),
      cwd: '/',
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      noNewPrivileges: true,
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1_024, hard: 4_096 }, { type: 'RLIMIT_CORE', soft: 0, hard: 0 }],
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: nothing },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=64k'] },
      { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'] },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...nothing, 'mode=1777', 'size=64m'] },
      { destination: '/sys', type: 'tmpfs', source: 'tmpfs', options: [...nothing, 'ro', 'size=0'] },
      { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=755', 'size=256m'] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777', 'size=1g'] },
      ...(command.network === 'host' ? [{ destination: '/etc/resolv.conf', type: 'bind', source: '/etc/resolv.conf', options: ['bind', 'ro', ...nothing] }] : []),
    ],
    linux: {
      namespaces: namespaces.map((type) => ({ type })),
      // One level: the runtime removes what it made, and it would not remove a parent.
      cgroupsPath: `/plinth-build-${id}`,
      resources: {
        devices: [{ allow: false, access: 'rwm' }],
        memory: { limit: MEMORY_BYTES },
        pids: { limit: PROCESSES },
      },
      maskedPaths: ['/proc/acpi', '/proc/asound', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}
