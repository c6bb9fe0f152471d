/**
 * `npm run bench:start`: request → container.started, against bare `crun run` (the floor) and Docker where a daemon
 * answers; with and without users and a network of its own; with few and with many containers alive. In one run.
 * `npm run bench:start -- --kinds`: only with and without users and a network of its own, with the phases of each.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { enterPrivateMountNamespace } from '@plinth/container-runtime';
import { type BenchSystem, percentile, row, startSystem } from './system.js';

const ROUNDS = Number(process.env['PLINTH_BENCH_ROUNDS'] ?? 60);
const WARM_UP = 10;
const FEW = 10;
const MANY = 200;

/** The least that crun can do: the same tree, `true`, no cgroup limits, no seccomp. */
function bareCrun(imageRoot: string): number {
  const bundle = mkdtempSync(join(tmpdir(), 'plinth-bare-'));
  const namespaces = ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type }));
  const config = {
    ociVersion: '1.0.2',
    process: { user: { uid: 0, gid: 0 }, args: ['/bin/true'], env: ['PATH=/bin'], cwd: '/', noNewPrivileges: true },
    root: { path: imageRoot, readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
    ],
    linux: { namespaces },
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  const begin = performance.now();
  const ran = spawnSync('crun', ['--root', join(bundle, 'state'), 'run', '--bundle', bundle, `bare-${process.pid}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ms = performance.now() - begin;
  rmSync(bundle, { recursive: true, force: true });
  if (ran.status !== 0) throw new Error(`crun: ${String(ran.stderr)}`);
  return ms;
}

/** @returns undefined where no Docker daemon answers */
function docker(imageRoot: string): (() => number) | undefined {
  if (spawnSync('docker', ['info']).status !== 0) return undefined;
  execFileSync('sh', ['-c', 'tar -C "$1" -c . | docker import - plinth-bench', 'sh', imageRoot], { stdio: 'ignore' });
  return () => {
    const begin = performance.now();
    const id = execFileSync('docker', ['run', '-d', '--network', 'none', 'plinth-bench', '/bin/sleep', '1000'], {
      encoding: 'utf8',
    }).trim();
    const ms = performance.now() - begin;
    execFileSync('docker', ['rm', '-f', id], { stdio: 'ignore' });
    return ms;
  };
}

/** What users and a network of its own add to a start, in one run. */
async function compareKinds(system: BenchSystem, idle: object): Promise<void> {
  const kinds = [
    { name: "the host's users, a loopback", body: { hostUsers: true, network: 'isolated' } },
    { name: 'its own users, a loopback', body: { hostUsers: false, network: 'isolated' } },
    { name: "the host's users, its own network", body: { hostUsers: true, network: 'container' } },
    { name: 'its own users and network', body: { hostUsers: false, network: 'container' } },
  ].map((kind) => ({ ...kind, times: [] as number[], phases: [] as Readonly<Record<string, number>>[] }));
  // Not the first one with a network: that also starts what all of them share, rules and resolver.
  await system.start({ ...idle, network: 'container' });
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    // In other orders, because a start also depends on what came before it.
    const turn = (round + WARM_UP) % kinds.length;
    for (const { body, times, phases } of [...kinds.slice(turn), ...kinds.slice(0, turn)]) {
      const started = await system.start({ ...idle, ...body });
      system.remove(started.name);
      if (round < 0) continue;
      times.push(started.ms);
      phases.push(started.phases);
    }
  }
  const [least] = kinds;
  console.log('');
  row('a container has', 'p50 ms', 'p90 ms', 'over the first, p50 of the rounds (goal ≤ 2)');
  for (const { name, times } of kinds) {
    const over = times.map((ms, round) => ms - (least?.times[round] ?? Number.NaN));
    row(name, percentile(times, 0.5), percentile(times, 0.9), percentile(over, 0.5));
  }
  const names = Object.keys(least?.phases[0] ?? {});
  console.log('');
  row('phases over those of the first, p50 of the rounds, ms', ...names);
  for (const { name, phases } of kinds) {
    const over = (phase: string): number[] =>
      phases.map((at, round) => (at[phase] ?? Number.NaN) - (least?.phases[round]?.[phase] ?? Number.NaN));
    row(name, ...names.map((phase) => percentile(over(phase), 0.5)));
  }
}

async function measure(system: BenchSystem): Promise<void> {
  const idle = { command: ['/bin/sleep', '1000000'], restart: { policy: 'never' } };
  const peer = docker(system.imageRoot);
  const ours: number[] = [];
  const bare: number[] = [];
  const dockers: number[] = [];
  // Interleaved, so that other work of the machine affects all alike.
  for (let round = 0; round < ROUNDS + WARM_UP; round++) {
    const started = await system.start(idle);
    const floor = bareCrun(system.imageRoot);
    const dock = peer?.();
    system.remove(started.name);
    if (round < WARM_UP) continue;
    ours.push(started.ms);
    bare.push(floor);
    if (dock !== undefined) dockers.push(dock);
  }
  row('request → running, sequential', 'p50 ms', 'p99 ms');
  row('plinth: publish → container.started', percentile(ours, 0.5), percentile(ours, 0.99));
  row('crun run, bare (floor)', percentile(bare, 0.5), percentile(bare, 0.99));
  if (dockers.length > 0) row('docker run -d --network none', percentile(dockers, 0.5), percentile(dockers, 0.99));
  else console.log('docker run: no Docker daemon answers here, not measured');
  row('ratio to bare crun (goal ≤ 4)', percentile(ours, 0.5) / percentile(bare, 0.5));
  if (dockers.length > 0) row('times faster than docker (goal ≥ 4)', percentile(dockers, 0.5) / percentile(ours, 0.5));

  await compareKinds(system, idle);

  const few: number[] = [];
  const many: number[] = [];
  for (let live = 0; live < MANY + 20; live++) {
    const { ms } = await system.start(idle);
    if (live >= FEW && live < FEW + 20) few.push(ms);
    if (live >= MANY) many.push(ms);
  }
  console.log('');
  row('start time with containers alive', 'p50 ms');
  row(`${FEW} to ${FEW + 20} alive`, percentile(few, 0.5));
  row(`${MANY} to ${MANY + 20} alive`, percentile(many, 0.5));
  row('ratio (goal ≤ 1.3)', percentile(many, 0.5) / percentile(few, 0.5));
}

await enterPrivateMountNamespace();
process.env['PLINTH_ALLOW_HOST_USERS'] = 'true';
const system = await startSystem();
try {
  const idle = { command: ['/bin/sleep', '1000000'], restart: { policy: 'never' } };
  if (process.argv.includes('--kinds')) await compareKinds(system, idle);
  else await measure(system);
} finally {
  await system.close();
}
process.exit(0);
