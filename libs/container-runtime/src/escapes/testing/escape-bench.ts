/** Containers that try to escape, what they try, and what on the host must not change by it. */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VERSION_FILES, type MountPlan } from '@plinth/contracts';
import { debianRootfs, RUN_VARIABLE } from '@plinth/testkit';
import { enterPrivateMountNamespace } from '../../kernel/private-mount-namespace.js';
import { OciRuntime } from '../../oci-runtime.js';
import type { ExecOptions } from '../../run/container-exec.js';
import { findExecutable } from '../../run/runtime-binary.js';
import type { ContainerSpec } from '../../spec/container-spec.js';
import { requiredDirectories } from '../../spec/mount-plan.js';
import { generateMountScript } from '../../spec/mount-script.js';

const MiB = 1024 ** 2;
export const PLAN: MountPlan = {
  schema: 1,
  places: [
    { path: '/etc', bytes: 5 * MiB, inodes: 4096, content: 'overlay', mode: 0o755 },
    { path: '/var', bytes: 50 * MiB, inodes: 8192, content: 'overlay', mode: 0o755 },
    { path: '/tmp', bytes: 5 * MiB, inodes: 1024, content: 'empty', mode: 0o1777 },
    { path: '/run', bytes: 5 * MiB, inodes: 1024, content: 'empty', mode: 0o755 },
  ],
};

/** Kernel settings of the whole machine; what is not there counts as empty. */
const SETTINGS = [
  '/proc/sys/kernel/core_pattern',
  '/proc/sys/kernel/modprobe',
  '/proc/sys/kernel/hostname',
  '/proc/sys/kernel/domainname',
  '/proc/sys/kernel/shm_rmid_forced',
  '/proc/sys/vm/overcommit_memory',
  '/proc/sys/net/ipv4/ip_forward',
  '/proc/sys/net/ipv4/ping_group_range',
  '/sys/kernel/uevent_helper',
  ...['memory', 'systemd', 'devices', 'pids'].map((hierarchy) => `/sys/fs/cgroup/${hierarchy}/release_agent`),
];

/** Name of an attempt → `succeeded`, or the error's name. */
export type Attempts = Readonly<Record<string, string>>;

export class EscapeBench {
  readonly runtime: OciRuntime;

  private constructor(
    readonly scratch: string,
    readonly image: string,
    /** A file of the host that no container has; its content is known to the test alone. */
    readonly canary: { readonly path: string; readonly secret: string },
    readonly crun: string,
  ) {
    this.runtime = new OciRuntime({
      stateDirectory: join(scratch, 'state'),
      binary: { name: 'crun', path: crun, reason: 'under test' },
    });
  }

  static async open(): Promise<EscapeBench> {
    const rootfs = await debianRootfs();
    await enterPrivateMountNamespace({ reexecute: false });
    const scratch = mkdtempSync(join(dirname(rootfs), `escapes-${process.env[RUN_VARIABLE] ?? ''}-`));
    const image = join(scratch, 'image', VERSION_FILES.root);
    mkdirSync(dirname(image));
    if (spawnSync('cp', ['-al', rootfs, image]).status !== 0) throw new Error('the image can not be copied');
    for (const { path, mode } of requiredDirectories(PLAN)) mkdirSync(join(image, path), { recursive: true, mode });
    writeFileSync(join(dirname(image), VERSION_FILES.mountScript), generateMountScript(PLAN));
    for (const directory of ['data/shop', 'sw']) mkdirSync(join(scratch, directory), { recursive: true });
    const canary = { path: join(scratch, 'canary'), secret: randomBytes(16).toString('hex') };
    writeFileSync(canary.path, canary.secret);
    const installed = findExecutable('crun', process.env['PATH'] ?? '');
    if (installed === undefined) throw new Error('crun is not installed');
    // A copy: an escape must not change the machine's own.
    const crun = join(scratch, 'crun');
    copyFileSync(installed, crun);
    return new EscapeBench(scratch, image, canary, crun);
  }

  async close(): Promise<void> {
    await this.deleteAll();
    this.runtime.close();
    this.runtime.removeDirectories();
    rmSync(this.scratch, { recursive: true });
  }

  async deleteAll(): Promise<void> {
    for (const { id } of this.runtime.list()) await this.runtime.delete(id);
  }

  specOf(change: Partial<ContainerSpec> = {}): ContainerSpec {
    return {
      id: randomBytes(16).toString('hex'),
      imageRoot: this.image,
      mountPlan: PLAN,
      mountScript: { path: join(dirname(this.image), VERSION_FILES.mountScript), custom: false },
      environment: {},
      timezone: 'UTC',
      hostname: 'shop-1',
      command: ['sleep', 'infinity'],
      softwarePath: join(this.scratch, 'sw'),
      dataPath: join(this.scratch, 'data/shop'),
      limits: { memoryBytes: 256 * MiB, pids: 64, cpus: 1 },
      users: 'own',
      network: 'isolated',
      stopSignal: 'SIGTERM',
      ...change,
    };
  }

  async started(change: Partial<ContainerSpec> = {}): Promise<string> {
    const spec = this.specOf(change);
    const result = await this.runtime.start(spec, spec.network === 'host' ? {} : { inNetwork: () => undefined });
    if (!result.ok) throw new Error(`${result.reason}: ${result.message}`);
    return spec.id;
  }

  /** What a command in the container prints, and its exit code on the last line. */
  async run(id: string, argv: readonly string[], options: ExecOptions = {}): Promise<string> {
    let output = '';
    const onOutput = (chunk: Buffer): void => void (output += chunk.toString());
    const result = await this.runtime.exec(id, argv, { ...options, onStdout: onOutput, onStderr: onOutput });
    return `${output}${result.ok ? result.exitCode : result.reason}`;
  }

  /** Makes the attempts of a probe, `probes/<name>.pl` or the text of one, in the container. */
  async inside(id: string, probe: string, options: ExecOptions = {}): Promise<Attempts> {
    const env = { CANARY: this.canary.path, ...options.env };
    return attemptsIn(await this.run(id, ['perl', '-'], { ...options, env, stdin: programOf(probe) }));
  }

  /**
   * The same attempts with all rights of the host's root and without a filter, in namespaces that end with them: what
   * succeeds here and not in a container is refused by the container, and the probe can tell the one from the other.
   */
  outside(probe: string, env: Readonly<Record<string, string>> = {}, shell = 'exec perl -'): Attempts {
    const namespaces = ['--mount', '--pid', '--fork', '--mount-proc', '--net', '--uts', '--ipc', '--cgroup'];
    const { stdout, stderr } = spawnSync('unshare', [...namespaces, 'sh', '-c', shell], {
      input: programOf(probe),
      encoding: 'utf8',
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '', CANARY: this.canary.path, ...env },
    });
    return attemptsIn(`${stdout}${stderr}0`);
  }

  /** Everything of the host that an escape of this suite would change. */
  hostState(): Readonly<Record<string, string>> {
    return {
      canary: digestOf(this.canary.path),
      runtime: digestOf(this.crun),
      // The shell's bytes on the disk, not in memory: a page that was overwritten there is seen as well.
      'shell, in memory': digestOf(join(this.image, 'bin/dash')),
      'shell, on the disk': digestOnDisk(join(this.image, 'bin/dash')),
      mounts: readFileSync('/proc/1/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(this.scratch))
        .join('\n'),
      ...Object.fromEntries(SETTINGS.map((path) => [path, existsSync(path) ? readFileSync(path, 'utf8') : ''])),
    };
  }
}

function programOf(probe: string): string {
  const text = (name: string): string => readFileSync(join(import.meta.dirname, '../probes', `${name}.pl`), 'utf8');
  return `${text('attempts').replace(/^1;$/m, '')}\n${/^[a-z-]+$/.test(probe) ? text(probe) : probe}`;
}

/** @throws Error when something else was printed, such as perl's errors */
function attemptsIn(output: string): Attempts {
  const lines = output.split('\n');
  const code = lines.pop();
  const pairs = lines.map((line) => line.split('\t'));
  if (code !== '0' || pairs.length === 0 || pairs.some(({ length }) => length !== 2))
    throw new Error(`the probe failed: ${output}`);
  return Object.fromEntries(pairs as [string, string][]);
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const digestOf = (path: string): string => digest(readFileSync(path));

function digestOnDisk(path: string): string {
  const argv = [`if=${path}`, 'iflag=direct', 'bs=1M', 'status=none'];
  const { status, stdout, stderr } = spawnSync('dd', argv, { maxBuffer: 64 * MiB });
  if (status !== 0) throw new Error(`dd: ${stderr.toString()}`);
  return digest(stdout);
}
