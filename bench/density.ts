/**
 * `npm run bench:density [-- containers]`: memory per idle container, the host's mount table, and image pages held once,
 * at 100 containers.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { row, startSystem } from './system.js';

const CONTAINERS = Number(process.argv[2] ?? 100);

function meminfo(): Record<string, number> {
  return Object.fromEntries(
    [...readFileSync('/proc/meminfo', 'utf8').matchAll(/^(\w+):\s+(\d+) kB$/gm)].map(([, name, kib]) => [
      String(name),
      Number(kib) * 1024,
    ]),
  );
}
const hostMounts = (): number => readFileSync('/proc/1/mounts', 'utf8').trimEnd().split('\n').length;
const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 3_000));

/**
 * What the kernel charges to a container's cgroup, bytes. A page of a file is charged once, to the process that reads
 * it first, so the work of other programs does not count.
 */
function charged(id: string): { total: number; fileCache: number; kernel: number } {
  const version1 = existsSync('/sys/fs/cgroup/memory');
  const parent = version1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup';
  // Each container runs on one host, and so has one cgroup.
  const directory = join(parent, readdirSync(parent).find((name) => name.startsWith(`plinth-${id}.`)) ?? id);
  const stat = Object.fromEntries(
    [...readFileSync(`${directory}/memory.stat`, 'utf8').matchAll(/^(\w+) (\d+)$/gm)].map(([, name, value]) => [
      String(name),
      Number(value),
    ]),
  );
  const of = (name: string): number => stat[name] ?? 0;
  const read = (name: string): number => Number(readFileSync(`${directory}/${name}`, 'utf8'));
  if (!version1) return { total: read('memory.current'), fileCache: of('file') - of('shmem'), kernel: of('kernel') };
  return {
    total: read('memory.usage_in_bytes'),
    fileCache: of('total_cache') - of('total_shmem'),
    kernel: read('memory.kmem.usage_in_bytes'),
  };
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
      const own = [
        ...readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm),
      ].reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0);
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
  row('idle containers', CONTAINERS);
  const privateAfter = privateMemory(system.home, new Set([first, ...started].map(({ pid }) => pid)));
  row(
    'private memory per container with its monitor, KiB',
    (privateAfter.platform - privateBefore.platform) / CONTAINERS / 1024,
  );
  row('growth of the agents per container, KiB', (privateAfter.agents - privateBefore.agents) / CONTAINERS / 1024);
  const charges = started.map(({ id }) => charged(id));
  const average = (of: (charge: ReturnType<typeof charged>) => number): number =>
    charges.reduce((sum, charge) => sum + of(charge), 0) / CONTAINERS / 1024;
  row(
    "charged to a container's cgroup, without file cache, KiB",
    average(({ total, fileCache }) => total - fileCache),
  );
  row(
    '  of that kernel memory, KiB',
    average(({ kernel }) => kernel),
  );
  row(
    'drop of MemAvailable per container, KiB (goal ≤ 512)',
    ((before.MemAvailable ?? 0) - (after.MemAvailable ?? 0)) / CONTAINERS / 1024,
  );
  row("lines of the host's mount table before", mountsBefore);
  row(`lines with ${CONTAINERS} more containers (goal: the same)`, hostMounts());

  writeFileSync('/proc/sys/vm/drop_caches', '1');
  await settle();
  const cached = (): number => started.reduce((sum, { id }) => sum + charged(id).fileCache, 0) / 1024 ** 2;
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
