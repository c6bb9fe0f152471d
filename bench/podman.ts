/**
 * Podman as a peer of several benchmarks: the same image, users and a network of its own for each container. Its files,
 * networks and state are in the space of the peers. As an image's layer the tree is copied once.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PODMAN_SUBNET, type PeerSpace } from './peer-space.js';

/** Above the ids of bare crun's containers. */
const FIRST_ID = 2_000_000_000;
const IDS = 65_536;
const IMAGE = 'plinth-bench';
const OWN_GROUP = 'podman';
const NETWORK = 'plinth-bench';
const FIRST_PORT = 20_000;
/** Attempts. */
const REMOVALS = 4;
const IMPORT = 'tar -C "$0" -c . | podman --tmpdir "$1" import - "$2"';

export interface PodmanKind {
  readonly network: 'bridge' | 'none';
  /** Whether port 80 is published. */
  readonly port?: boolean;
  /** Where processor time is counted, see PeerSpace. */
  readonly group?: string;
}

export interface PodmanContainer {
  readonly id: string;
  /** From the program's start to its end: `podman run --detach` ends when the container runs. */
  readonly ms: number;
}

export class Podman {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #state: string;
  #counter = 0;

  private constructor(readonly space: PeerSpace) {
    this.#state = join(space.directory, 'podman-state');
    const configuration = join(space.directory, 'containers.conf');
    const storage = join(space.directory, 'storage.conf');
    // Limits below those of any host: podman's own defaults may not be set by every root.
    writeFileSync(
      configuration,
      `[engine]
cgroup_manager="cgroupfs"
events_logger="file"
runtime="crun"
[containers]
default_ulimits=["nofile=1024:4096","nproc=4096:4096"]
[network]
network_config_dir="${join(space.directory, 'podman-networks')}"
`,
    );
    writeFileSync(
      storage,
      `[storage]
driver="overlay"
runroot="${join(space.directory, 'podman-run')}"
graphroot="${join(space.directory, 'podman-graph')}"
`,
    );
    this.#environment = { CONTAINERS_CONF: configuration, CONTAINERS_STORAGE_CONF: storage, TMPDIR: space.directory };
    space.beforeClose(() => this.remove('--all'));
  }

  /** Imports the tree and starts one container of each kind. @returns why podman can't be measured, else podman */
  static open(space: PeerSpace, imageRoot: string): Podman | string {
    if (spawnSync('podman', ['--version']).status !== 0) return 'podman is not installed: not measured';
    const podman = new Podman(space);
    try {
      podman.#import(imageRoot);
      podman.#podman('network', 'create', '--subnet', PODMAN_SUBNET, NETWORK);
      for (const network of ['none', 'bridge'] as const)
        podman.remove(podman.start({ network, port: network === 'bridge' }).id);
    } catch (error) {
      return `podman can't be measured here: ${(error as Error).message}`;
    }
    return podman;
  }

  /** Version and what makes its networks. */
  get name(): string {
    const format = '{{.Version.Version}}, {{.Host.NetworkBackend}}, {{.Store.GraphDriverName}}';
    return `podman ${this.#podman('info', '--format', format)}`;
  }

  /** Its users are a range that no other container has, as `--userns=auto` would choose it. */
  start({ network, port, group }: PodmanKind): PodmanContainer {
    const number = (this.#counter += 1);
    // The last ids of 32 bits are not to be had.
    const map = `0:${FIRST_ID + (number % 30_000) * IDS}:${IDS}`;
    const options = ['--uidmap', map, '--gidmap', map, '--cgroup-parent', `${this.space.group}/${group ?? OWN_GROUP}`];
    const published = port ? ['--publish', `${FIRST_PORT + number}:80`] : [];
    const args = ['--network', network === 'none' ? 'none' : NETWORK, ...published, ...options];
    const begin = performance.now();
    const id = this.#checked(['run', '--detach', ...args, IMAGE, '/bin/sleep', '1000000'], group);
    return { id, ms: performance.now() - begin };
  }

  /** Podman 4.3 at times finds a mount of the container still busy, and succeeds when it is asked again. */
  remove(...ids: readonly string[]): void {
    for (let attempt = 1; ; attempt += 1) {
      const { status, stderr } = this.#run(['rm', '--force', '--ignore', '--time', '0', ...ids]);
      if (status === 0) return;
      if (attempt === REMOVALS) throw new Error(`podman rm: ${stderr.trim()}`);
    }
  }

  /** Path of a container's cgroup in each hierarchy; of one whose processor time is not counted apart. */
  groupOf(id: string): string {
    return `${this.space.group}/${OWN_GROUP}/libpod-${id}`;
  }

  /** The first process of a container, and its monitor. */
  pids(id: string): { readonly container: number; readonly monitor: number } {
    const [container, monitor] = this.#podman('inspect', '--format', '{{.State.Pid}} {{.State.ConmonPid}}', id).split(
      ' ',
    );
    return { container: Number(container), monitor: Number(monitor) };
  }

  #import(imageRoot: string): void {
    const { status, stderr } = this.space.run(['sh', '-c', IMPORT, imageRoot, this.#state, IMAGE], {
      env: this.#environment,
    });
    if (status !== 0) throw new Error(`import: ${stderr}`);
  }

  #podman(...args: readonly string[]): string {
    return this.#checked(args);
  }

  #checked(args: readonly string[], group?: string): string {
    const { status, stdout, stderr } = this.#run(args, group);
    if (status !== 0) throw new Error(`podman ${args.join(' ')}: ${stderr.trim()}`);
    return stdout.trim();
  }

  #run(args: readonly string[], group?: string): ReturnType<PeerSpace['run']> {
    const argv = ['podman', '--tmpdir', this.#state, ...args];
    return this.space.run(argv, { env: this.#environment, ...(group === undefined ? {} : { group }) });
  }
}
