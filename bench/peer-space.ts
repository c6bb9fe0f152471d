/**
 * Where the peers of a benchmark run: a network, a mount namespace, a directory and a cgroup of their own. What they
 * make, bridges, addresses, rules, mounts, locks, ends with the namespaces: nothing of it is on the machine. When the
 * benchmark is killed (SIGKILL), processes, cgroups and files stay.
 */
import { type ChildProcess, spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inNetworkOf } from '@plinth/host-network';
import { inGroup, processorMsOf, removeGroup } from './processor-time.js';

/** Of the addresses for benchmarks (RFC 2544), which belong to no network. */
export const PODMAN_SUBNET = '198.18.0.0/16';
export const BARE_PREFIX = '198.19';

/** State of podman, crun and CNI is in memory, and crun sees cgroups of one version only, as it needs. */
const SET_UP = `set -e
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
for directory in /run /dev/shm /var/lib/cni; do mount -t tmpfs -o mode=0755 tmpfs "$directory"; done
if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then mount -t tmpfs tmpfs /sys/fs/cgroup/unified; fi
echo ready
exec sleep infinity`;
const CNI_STATE = '/var/lib/cni';
const STREAMS = { encoding: 'utf8', maxBuffer: 64 * 1024 ** 2 } as const;

export class PeerSpace {
  /** Of the peers' files; programs with other users may pass. */
  readonly directory = mkdtempSync(join(tmpdir(), 'bench-peers-'));
  /** Path in each hierarchy. */
  readonly group = `/bench-peers-${process.pid}`;
  /** Of the process that keeps the namespaces. */
  readonly pid: number;
  readonly #madeCniState: boolean;
  readonly #first: (() => void)[] = [];
  readonly #onExit = (): void => this.close();

  private constructor(
    readonly keeper: ChildProcess,
    madeCniState: boolean,
  ) {
    this.pid = keeper.pid ?? 0;
    this.#madeCniState = madeCniState;
    chmodSync(this.directory, 0o711);
    process.once('exit', this.#onExit);
  }

  static async open(): Promise<PeerSpace> {
    const made = mkdirSync(CNI_STATE, { recursive: true }) !== undefined;
    // What the host unmounts is unmounted here too, or it would stay busy.
    const namespaces = ['unshare', '--net', '--mount', '--propagation', 'slave'];
    const keeper = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...namespaces, 'sh', '-c', SET_UP], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const space = new PeerSpace(keeper, made);
    const [first] = (await Promise.race([once(keeper.stdout ?? keeper, 'data'), once(keeper, 'exit')])) as unknown[];
    if (String(first) !== 'ready\n') throw new Error(`no namespaces for peers: ${String(first)}`);
    return space;
  }

  /** @param group where its processor time is counted, below the own one; absent: not counted */
  run(argv: readonly string[], options: { env?: NodeJS.ProcessEnv; group?: string } = {}): SpawnSyncReturns<string> {
    const { env, group } = options;
    const target = ['--target', String(this.pid), '--net', '--mount', '--'];
    return spawnSync('nsenter', [...target, ...this.#counted(argv, group)], {
      ...STREAMS,
      env: { ...process.env, ...env },
    });
  }

  /**
   * As {@link run}, in the network alone, and with nothing between the measurement and the program. Without streams: a
   * detached container keeps those that it inherits.
   *
   * @throws Error when it ends with another code than 0
   */
  runBare(argv: readonly string[], group?: string): void {
    const [file = '', ...args] = this.#counted(argv, group);
    const { status, error } = inNetworkOf(this.pid, () =>
      spawnSync(file, args, { stdio: ['ignore', 'ignore', 'inherit'] }),
    );
    if (status !== 0) throw new Error(`${argv.join(' ')} ended with ${status}`, { cause: error });
  }

  /** Processor time of all that ran in a group below the own one, of what has ended too, ms (cgroups(7)). */
  processorMs(group: string): number {
    return processorMsOf(`${this.group}/${group}`);
  }

  /** @param work that ends what a peer has running */
  beforeClose(work: () => void): void {
    this.#first.push(work);
  }

  /** Kills what runs in the own group, and removes everything. */
  close(): void {
    process.off('exit', this.#onExit);
    for (const work of this.#first.splice(0)) work();
    removeGroup(this.group);
    this.keeper.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
    if (this.#madeCniState) rmdirSync(CNI_STATE);
  }

  #counted(argv: readonly string[], group: string | undefined): readonly string[] {
    // With version 2, only groups without groups of their own have processes.
    return group === undefined ? argv : inGroup(`${this.group}/${group}/programs`, argv);
  }
}
