/**
 * The floor of several benchmarks: the same tree and nothing but crun; no log, no exit status that outlives it, no
 * limits, no seccomp. With users and a network of its own, what a shell script with `ip` and `nft` would do: a pair of
 * interfaces, one end on a bridge, and a published port.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BARE_PREFIX, type PeerSpace } from './peer-space.js';

/** Above the ids that systemd, and so Plinth, gives to containers. */
const FIRST_ID = 1_900_000_000;
const IDS = 65_536;
const FIRST_PORT = 10_000;

const BRIDGE = `set -e
ip -batch - <<END
link add bare type bridge
link set bare up
address add ${BARE_PREFIX}.0.1/16 dev bare
END
nft -f - <<END
table ip bare {
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  chain in { type nat hook prerouting priority dstnat; dnat to meta l4proto . th dport map @ports; }
  chain out { type nat hook postrouting priority srcnat; ip saddr ${BARE_PREFIX}.0.0/16 oifname != "bare" masquerade; }
}
END`;

/** Arguments: state, bundle, id, number, address, host's port; no port: no network. */
const START = `set -e
crun --root "$1" create --bundle "$2" --pid-file "$2/pid" "$3"
if [ -n "$6" ]; then
read -r pid < "$2/pid" || [ -n "$pid" ]
ip -batch - <<END
link add bare$4 type veth peer name eth0 netns $pid
link set bare$4 master bare up
END
nsenter --target "$pid" --net ip -batch - <<END
link set lo up
link set eth0 up
address add $5/16 dev eth0
route add default via ${BARE_PREFIX}.0.1
END
nft add element ip bare ports "{ tcp . $6 : $5 . 80 }"
fi
crun --root "$1" start "$3"`;

export class BareCrun {
  readonly #directory = mkdtempSync(join(tmpdir(), 'plinth-bare-'));
  readonly #state = join(this.#directory, 'state');
  #counter = 0;

  constructor(
    readonly imageRoot: string,
    readonly space?: PeerSpace,
  ) {
    chmodSync(this.#directory, 0o711);
    if (space) {
      space.runBare(['sh', '-c', BRIDGE]);
      space.beforeClose(() => this.close());
    }
  }

  /** `crun run` of a program that ends at once, with the host's users and no interface. @returns ms */
  runToEnd(): number {
    const bundle = this.#bundle(0, ['/bin/true'], {});
    return timed(() => this.#crun('run', '--bundle', bundle, `bare-${process.pid}`));
  }

  /** A container that stays, with the host's users and no interface. */
  runDetached(): string {
    const id = `bare-${process.pid}`;
    this.#crun('run', '--detach', '--bundle', this.#bundle(0, ['/bin/sleep', '1000000'], {}), id);
    return id;
  }

  /**
   * A container that stays, with users of its own, and an interface and a published port when it has a network.
   *
   * @param group where processor time is counted, see PeerSpace
   */
  start(network: boolean, group?: string): { readonly id: string; readonly ms: number } {
    if (!this.space) throw new Error('a bare container with users of its own is started in the space of the peers');
    const { space } = this;
    const number = (this.#counter += 1);
    const id = `bare-${process.pid}-${number}`;
    const cgroup = `${space.group}/${group ?? 'bare'}/${id}`;
    const bundle = this.#bundle(number, ['/bin/sleep', '1000000'], { ownUsers: true, cgroup });
    const address = `${BARE_PREFIX}.${1 + (number >> 8)}.${number & 0xff}`;
    const port = network ? String(FIRST_PORT + number) : '';
    const argv = ['sh', '-c', START, 'sh', this.#state, bundle, id, String(number), address, port];
    return { id, ms: timed(() => space.runBare(argv, group)) };
  }

  remove(id: string): void {
    this.#crun('delete', '--force', id);
  }

  close(): void {
    const listed = spawnSync('crun', ['--root', this.#state, 'list', '--quiet'], { encoding: 'utf8' });
    for (const id of listed.stdout.split('\n').filter(Boolean)) this.remove(id);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #crun(...args: string[]): void {
    // A detached container keeps the streams that it inherits: spawnSync would wait for a pipe until the container ends.
    const { status, error } = spawnSync('crun', ['--root', this.#state, ...args], { stdio: 'ignore' });
    if (status !== 0) throw new Error(`crun ${args.join(' ')} ended with ${status}`, { cause: error });
  }

  #bundle(number: number, args: readonly string[], options: { ownUsers?: boolean; cgroup?: string }): string {
    const { ownUsers = false, cgroup } = options;
    const types = ['pid', 'ipc', 'uts', 'mount', 'network', ...(ownUsers ? ['user'] : [])];
    const map = [{ containerID: 0, hostID: FIRST_ID + number * IDS, size: IDS }];
    const config = {
      ociVersion: '1.0.2',
      process: { user: { uid: 0, gid: 0 }, args, env: ['PATH=/bin'], cwd: '/', noNewPrivileges: true },
      root: { path: this.imageRoot, readonly: true },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
      ],
      linux: {
        namespaces: types.map((type) => ({ type })),
        ...(ownUsers ? { uidMappings: map, gidMappings: map } : {}),
        ...(cgroup === undefined ? {} : { cgroupsPath: cgroup }),
      },
    };
    const bundle = join(this.#directory, `bundle-${number}`);
    mkdirSync(bundle, { recursive: true });
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    return bundle;
  }
}

function timed(work: () => void): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}
