/** CNI's `bridge` and `portmap` as a peer: each is started directly, with nothing around it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Debian's `containernetworking-plugins`. */
const DIRECTORY = '/usr/lib/cni';
const SUBNET = '198.18.0.0/16';
const VERSION = '1.0.0';
const NAME = 'plinth-bench';

export class CniPlugins {
  readonly #directory = mkdtempSync(join(tmpdir(), 'bench-cni-'));

  /** The caller is in a network of its own, with which bridge and rules end. @returns why they can't be measured */
  static open(): CniPlugins | string {
    const missing = ['bridge', 'portmap', 'host-local'].filter((plugin) => !existsSync(join(DIRECTORY, plugin)));
    if (missing.length > 0) return `the plugins ${missing.join(', ')} of CNI are not in ${DIRECTORY}: not measured`;
    return new CniPlugins();
  }

  add(containerId: string, pid: number, hostPort: number): void {
    const result = this.#bridge('ADD', containerId, pid);
    this.#portmap('ADD', containerId, pid, hostPort, JSON.parse(result));
  }

  delete(containerId: string, pid: number, hostPort: number): void {
    this.#portmap('DEL', containerId, pid, hostPort);
    this.#bridge('DEL', containerId, pid);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #bridge(command: string, containerId: string, pid: number): string {
    return this.#run('bridge', command, containerId, pid, {
      bridge: 'cni0',
      isGateway: true,
      ipMasq: true,
      ipam: {
        type: 'host-local',
        dataDir: this.#directory,
        ranges: [[{ subnet: SUBNET }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    });
  }

  #portmap(command: string, containerId: string, pid: number, hostPort: number, prevResult?: unknown): void {
    const portMappings = [{ hostPort, containerPort: 80, protocol: 'tcp' }];
    const before = prevResult === undefined ? {} : { prevResult };
    this.#run('portmap', command, containerId, pid, { runtimeConfig: { portMappings }, ...before });
  }

  #run(type: string, command: string, containerId: string, pid: number, configuration: object): string {
    return execFileSync(join(DIRECTORY, type), [], {
      input: JSON.stringify({ cniVersion: VERSION, name: NAME, type, ...configuration }),
      env: {
        PATH: process.env['PATH'],
        CNI_COMMAND: command,
        CNI_CONTAINERID: containerId,
        CNI_NETNS: `/proc/${pid}/ns/net`,
        CNI_IFNAME: 'eth0',
        CNI_PATH: DIRECTORY,
      },
      encoding: 'utf8',
    });
  }
}
