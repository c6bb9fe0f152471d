// `npm test`: sets up what is missing, checks, tests, and looks whether anything is left. Node's own modules only: it runs before `npm ci`.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const results = [];

function run(name, argv, env = {}) {
  const begin = Date.now();
  console.log(`\n=== ${name}`);
  const [file, ...args] = argv;
  const result = spawnSync(file, args, {
    cwd: top,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  const ok = result.status === 0;
  results.push({ name, ok });
  console.log(`=== ${name}: ${ok ? 'passed' : 'FAILED'} (${((Date.now() - begin) / 1000).toFixed(0)} s)`);
  return ok;
}

const mounts = () => readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(Boolean);
const ours = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
        const name = (words[0] ?? '').split('/').pop();
        const known =
          ['nats-server', 'conmon', 'postgres'].includes(name) || words.some((word) => word.startsWith(`${top}/apps/`));
        return known && Number(pid) !== process.pid ? [`${pid} ${words.join(' ').slice(0, 120)}`] : [];
      } catch {
        return []; // it ended while we looked
      }
    });

if (process.getuid() !== 0) {
  console.error('the tests need root: they mount and start real containers');
  process.exit(1);
}
const before = { mounts: new Set(mounts()), processes: new Set(ours().map((line) => line.split(' ')[0])) };
const jest = (project, workers) => [
  'node',
  '--experimental-vm-modules',
  '--no-warnings',
  'node_modules/jest/bin/jest.js',
  '--selectProjects',
  project,
  `--maxWorkers=${workers}`,
];
const ready = run('set-up', ['./plinth', 'setup', '--tests']) && existsSync(`${top}/node_modules`);
if (ready) {
  run('check', ['npm', 'run', '--silent', 'check']);
  run('unit', jest('unit', 2));
  run('integration', jest('integration', 1));
  run('end to end', jest('e2e', 1));
}
const left = [
  ...mounts()
    .filter((line) => !before.mounts.has(line))
    .map((line) => `mount: ${line}`),
  ...ours()
    .filter((line) => !before.processes.has(line.split(' ')[0]))
    .map((line) => `process: ${line}`),
];
results.push({ name: 'nothing is left running or mounted', ok: left.length === 0 });
for (const line of left) console.log(`left: ${line}`);

console.log('');
for (const { name, ok } of results) console.log(`${ok ? 'passed' : 'FAILED'}  ${name}`);
const failed = results.filter(({ ok }) => !ok).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
