/**
 * `npm run bench:density [-- containers] [--peers 20]`: memory per idle container with users and a network of its own,
 * the host's mount table, and image pages held once, at 100 containers; memory per container of podman with the same, in
 * the same run, where it is installed.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { PeerSpace } from './peer-space.js';
import { Podman } from './podman.js';
import { row, startSystem } from './system.js';

const { values, positionals } = parseArgs({
  options: { peers: { type: 'string', default: '20' } },
  allowPositionals: true,
});
const CONTAINERS = Number(positionals[0] ?? 100);
const PEERS = Number(values.peers);
if (![CONTAINERS, PEERS].every((count) => Number.isInteger(count) && count > 0)) {
  process.stderr.write('the numbers of containers and --peers are whole numbers above 0\n');
  process.exit(2);
}
/** What the kernel needs for itself, of the whole machine. */
const KERNEL = ['Slab', 'KernelStack', 'PageTables'];

function meminfo(): Record<string, number> {
  return Object.fromEntries(
    [...readFileSync('/proc/meminfo', 'utf8').matchAll(/^(\w+):\s+(\d+) kB$/gm)].map(([, name, kib]) => [
      String(name),
      Number(kib) * 1024,
    ]),
  );
}
type Meminfo = ReturnType<typeof meminfo>;
const kernelOf = (info: Meminfo): number => KERNEL.reduce((sum, name) => sum + (info[name] ?? 0), 0);
const mountsOf = (pid: number): number => readFileSync(`/proc/${pid}/mounts`, 'utf8').trimEnd().split('\n').length;
const hostMounts = (): number => mountsOf(1);
const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 3_000));

/** Whether cgroups are of version 1. */
const VERSION1 = existsSync('/sys/fs/cgroup/memory');
const MEMORY_GROUPS = VERSION1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup';

interface Charge {
  readonly total: number;
  readonly fileCache: number;
  readonly kernel: number;
}

/** Each container runs on one host, and so has one cgroup. */
const groupOf = (id: string): string =>
  join(MEMORY_GROUPS, readdirSync(MEMORY_GROUPS).find((name) => name.startsWith(`plinth-${id}.`)) ?? id);

/**
 * What the kernel charges to a container's cgroup, bytes. A page of a file is charged once, to the process that reads
 * it first, so the work of other programs does not count.
 */
function chargedTo(directory: string): Charge {
  const stat = Object.fromEntries(
    [...readFileSync(`${directory}/memory.stat`, 'utf8').matchAll(/^(\w+) (\d+)$/gm)].map(([, name, value]) => [
      String(name),
      Number(value),
    ]),
  );
  const of = (name: string): number => stat[name] ?? 0;
  const read = (name: string): number => Number(readFileSync(`${directory}/${name}`, 'utf8'));
  if (!VERSION1) return { total: read('memory.current'), fileCache: of('file') - of('shmem'), kernel: of('kernel') };
  return {
    total: read('memory.usage_in_bytes'),
    fileCache: of('total_cache') - of('total_shmem'),
    kernel: read('memory.kmem.usage_in_bytes'),
  };
}

function privateMemoryOf(pid: number | string): number {
  const parts = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm);
  return [...parts].reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0);
}

/**
 * Private memory of the containers and their monitors, and of the agents, bytes (proc(5), smaps_rollup); of this stack
 * only.
 */
function privateMemory(home: string, containers: ReadonlySet<number>): { platform: number; agents: number } {
  let platform = 0;
  let agents = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const own = privateMemoryOf(pid);
      const monitor = command[0]?.endsWith('/conmon') === true && command.some((word) => word.startsWith(home));
      if (monitor || containers.has(Number(pid))) platform += own;
      const agent = command.some((word) => word.endsWith('apps/host-agent/dist/main.js'));
      if (agent && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`PLINTH_HOST_DIR=${home}/`)) agents += own;
    } catch (error) {
      // It ended in between, or the kernel does not permit it (process 1 of some virtual machines).
      if (!['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return { platform, agents };
}

/** What a container has of its own, as the kernel shows it. */
function kindOf(pid: number): string {
  const users = /^\s*0\s+0\s/.test(readFileSync(`/proc/${pid}/uid_map`, 'utf8')) ? "the host's users" : 'own users';
  return `${users}, ${readFileSync(`/proc/${pid}/net/dev`, 'utf8').includes('eth0:') ? 'own network' : 'a loopback'}`;
}

/** Podman's containers with users and a network of their own, beside those of this system. */
async function measurePodman(imageRoot: string): Promise<void> {
  const space = await PeerSpace.open();
  try {
    const podman = Podman.open(space, imageRoot);
    if (typeof podman === 'string') {
      console.log(podman);
      return;
    }
    const privateOf = (id: string): number => {
      const { container, monitor } = podman.pids(id);
      return privateMemoryOf(container) + privateMemoryOf(monitor);
    };
    const first = podman.start({ network: 'bridge' }).id;
    await settle();
    const before = meminfo();
    const mountsBefore = mountsOf(space.pid);
    const ids = Array.from({ length: PEERS }, () => podman.start({ network: 'bridge' }).id);
    await settle();
    const after = meminfo();
    row(`${podman.name}: idle containers, ${kindOf(podman.pids(first).container)}`, PEERS);
    row(
      'private memory per container with its monitor, KiB',
      ids.reduce((sum, id) => sum + privateOf(id), 0) / PEERS / 1024,
    );
    printCharges(ids.map((id) => chargedTo(join(MEMORY_GROUPS, podman.groupOf(id)))));
    printMachine(before, after, PEERS);
    row('lines of their mount table for each', (mountsOf(space.pid) - mountsBefore) / PEERS);
  } finally {
    space.close();
  }
}

function printCharges(charges: readonly Charge[]): void {
  const average = (of: (charge: Charge) => number): number =>
    charges.reduce((sum, charge) => sum + of(charge), 0) / charges.length / 1024;
  row(
    "charged to a container's cgroup, without file cache, KiB",
    average(({ total, fileCache }) => total - fileCache),
  );
  row(
    '  of that kernel memory, KiB',
    average(({ kernel }) => kernel),
  );
}

function printMachine(before: Meminfo, after: Meminfo, count: number): void {
  row('growth of kernel memory per container, KiB', (kernelOf(after) - kernelOf(before)) / count / 1024);
  row(
    'drop of MemAvailable per container, KiB (goal ≤ 512)',
    ((before['MemAvailable'] ?? 0) - (after['MemAvailable'] ?? 0)) / count / 1024,
  );
}

const system = await startSystem();
try {
  const idle = { command: ['/bin/sleep', '1000000'], restart: { policy: 'never' } };
  // One first, so that pages of the image and of the programs count once and not for the containers.
  const first = await system.start(idle);
  await settle();
  const before = meminfo();
  const privateBefore = privateMemory(system.home, new Set([first.pid]));
  const mountsBefore = hostMounts();
  const started: { id: string; name: string; pid: number }[] = [];
  // The first one reads the whole image, which is more than the memory limit of the others.
  for (let index = 0; index < CONTAINERS; index++)
    started.push(await system.start(index === 0 ? { ...idle, limits: { memoryBytes: 1024 ** 3 } } : idle));
  await settle();
  const after = meminfo();
  row(`idle containers, ${kindOf(first.pid)}`, CONTAINERS);
  const privateAfter = privateMemory(system.home, new Set([first, ...started].map(({ pid }) => pid)));
  row(
    'private memory per container with its monitor, KiB',
    (privateAfter.platform - privateBefore.platform) / CONTAINERS / 1024,
  );
  row('growth of the agents per container, KiB', (privateAfter.agents - privateBefore.agents) / CONTAINERS / 1024);
  printCharges(started.map(({ id }) => chargedTo(groupOf(id))));
  printMachine(before, after, CONTAINERS);
  row("lines of the host's mount table before", mountsBefore);
  row(`lines with ${CONTAINERS} more containers (goal: the same)`, hostMounts());

  row('load', loadavg()[0] ?? Number.NaN);
  console.log('');
  await measurePodman(system.imageRoot);

  console.log('');
  writeFileSync('/proc/sys/vm/drop_caches', '1');
  await settle();
  const cached = (): number => started.reduce((sum, { id }) => sum + chargedTo(groupOf(id)).fileCache, 0) / 1024 ** 2;
  const cold = cached();
  const read = (name: string): void =>
    void system.plinth('exec', name, '--', '/bin/sh', '-c', 'find /usr/lib /usr/bin -type f -exec cat {} + >/dev/null');
  read(started[0]?.name ?? '');
  const once = cached() - cold;
  for (const { name } of started.slice(1)) read(name);
  const all = cached() - cold;
  row('file cache charged to the first reader, MiB', once);
  row(`file cache charged to all ${CONTAINERS} readers, MiB`, all);
  row('ratio (goal: 1)', all / once);
} finally {
  await system.close();
}
process.exit(0);
