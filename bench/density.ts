/** `npm run bench:density`: memory per idle container, the host's mount table, and image pages held once, at 100 containers. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { row, startSystem } from './system.js';

const CONTAINERS = 100;
const LIBRARY_BYTES = 50 * 1024 ** 2;

function meminfo(): Record<string, number> {
  return Object.fromEntries([...readFileSync('/proc/meminfo', 'utf8').matchAll(/^(\w+):\s+(\d+) kB$/gm)].map(([, name, kib]) => [String(name), Number(kib) * 1024]));
}
const hostMounts = (): number => readFileSync('/proc/1/mounts', 'utf8').trimEnd().split('\n').length;
const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 3_000));

/** Files of /usr/lib up to about the given size, as paths inside the container. */
function libraries(root: string): string[] {
  const found: string[] = [];
  let bytes = 0;
  const walk = (directory: string): void => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && bytes < LIBRARY_BYTES) {
        bytes += readFileSync(join(root, path)).length;
        found.push(`/${path}`);
      }
    }
  };
  walk('usr/lib');
  return found;
}

const system = await startSystem();
try {
  const idle = { command: ['/bin/sleep', '1000000'], restart: { policy: 'never' } };
  // One first, so that pages of the image and of the programs count once and not for the containers.
  await system.start(idle);
  await settle();
  const before = meminfo();
  const mountsBefore = hostMounts();
  const started: { id: string; name: string }[] = [];
  for (let index = 0; index < CONTAINERS; index++) started.push(await system.start(idle));
  await settle();
  const after = meminfo();
  row('idle containers', CONTAINERS);
  row('memory taken per container, KiB (goal ≤ 512)', ((before.MemAvailable ?? 0) - (after.MemAvailable ?? 0)) / CONTAINERS / 1024);
  row("lines of the host's mount table before", mountsBefore);
  row(`lines with ${CONTAINERS} more containers (goal: the same)`, hostMounts());

  const files = libraries(system.imageRoot);
  writeFileSync('/proc/sys/vm/drop_caches', '1');
  await settle();
  const cold = meminfo();
  const read = (name: string): void => void system.plinth('exec', name, '--', '/bin/sh', '-c', `cat ${files.map((file) => `'${file}'`).join(' ')} >/dev/null`);
  read(started[0]?.name ?? '');
  const once = meminfo();
  for (const { name } of started.slice(1)) read(name);
  const all = meminfo();
  const cached = (from: Record<string, number>, to: Record<string, number>): number => ((to.Cached ?? 0) - (from.Cached ?? 0)) / 1024 ** 2;
  row('page cache grown by the first reader, MiB', cached(cold, once));
  row(`page cache grown by all ${CONTAINERS} readers, MiB`, cached(cold, all));
  row('ratio (goal: 1)', cached(cold, all) / cached(cold, once));
} finally {
  await system.close();
}
process.exit(0);
