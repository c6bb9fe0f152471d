/** Needs root and unshare's counterpart nsenter (util-linux). */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NamespacePool } from './namespace-pool.js';
import { closeNamespaces, type OwnNamespaces, pathOfDescriptor } from './user-namespace.js';

const FIRST_ID = 1_878_982_656;
const pool = new NamespacePool();
const taken: OwnNamespaces[] = [];

/** Its map, its interfaces, and whom a setting of its network belongs to. */
function inside({ users = -1, network }: OwnNamespaces): string {
  const script =
    'cat /proc/self/uid_map; ls /sys/class/net >/dev/null; cut -d: -f1 /proc/self/net/dev | tail -n +3; id -u';
  const argv = [`--user=${pathOfDescriptor(users)}`, `--net=${pathOfDescriptor(network)}`, '--', 'sh', '-c', script];
  return execFileSync('nsenter', argv, { encoding: 'utf8' }).replace(/\s+/g, ' ').trim();
}

const zombies = (): string[] =>
  readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const [state, parent] = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ');
      return state === 'Z' && parent === String(process.pid);
    } catch {
      return false;
    }
  });
const namespaces = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /^(?:net|user):/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !holds(); await delay(10))
    if (performance.now() > end) throw new Error(`not seen: ${what}`);
}

afterEach(() => {
  for (const pair of taken.splice(0)) closeNamespaces(pair);
});

describe('pairs of namespaces', () => {
  it('are the same whether they were ready or not, and each has the users that it was taken for', async () => {
    taken.push(pool.take(FIRST_ID, 65_536));
    await until(() => pool.size === 4, 'a full pool');
    taken.push(pool.take(FIRST_ID + 65_536, 65_536), pool.take(FIRST_ID + 131_072, 65_536));
    expect(pool.size).toBe(2);
    expect(taken.map(inside)).toEqual([0, 1, 2].map((at) => `0 ${FIRST_ID + at * 65_536} 65536 lo 0`));
    await until(() => pool.size === 4, 'a pool that is full again');
  });

  it('get what does not depend on a container, while no start is under way', async () => {
    const prepared: string[] = [];
    pool.prepareNetworksBy((namespace) => void prepared.push(readlinkSync(namespace)));
    pool.begin();
    taken.push(pool.take(FIRST_ID, 65_536));
    await delay(100);
    expect(pool.size).toBe(3);
    pool.end();
    await until(() => pool.size === 4, 'a full pool');
    taken.push(...[1, 2, 3, 4].map((at) => pool.take(FIRST_ID + at * 65_536, 65_536)));
    expect(prepared).toEqual([readlinkSync(pathOfDescriptor(taken.at(-1)?.network ?? -1))]);
    await until(() => pool.size === 4, 'a full pool');
    expect(prepared).toHaveLength(5);
  });

  it('leave neither process nor namespace', async () => {
    expect(namespaces()).toBe(8);
    pool.close();
    expect(namespaces()).toBe(0);
    await until(() => zombies().length === 0, 'the end of what made them');
  });
});
