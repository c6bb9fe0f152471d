/**
 * `npm run bench:start`: request → container.started, against bare crun (the floor), podman where it is installed and
 * Docker where a daemon answers, with users of its own and with and without a network and a published port; the
 * processor time of these starts; with few and with many containers alive. In one run.
 * `-- --kinds`: only with and without users and a network of its own, with the phases of each.
 * `-- --peers`: only the peers and the processor time.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { enterPrivateMountNamespace } from '@plinth/container-runtime';
import { BareCrun } from './bare-crun.js';
import { PeerSpace } from './peer-space.js';
import { Podman } from './podman.js';
import { processorMsOfContainers } from './processor-time.js';
import { type BenchSystem, percentile, row, startSystem } from './system.js';

const ROUNDS = Number(process.env['PLINTH_BENCH_ROUNDS'] ?? 60);
const WARM_UP = 5;
const FEW = 10;
const MANY = 200;

const IDLE = { command: ['/bin/sleep', '1000000'], restart: { policy: 'never' } };
/** Starts in a row for their processor time. */
const COUNTED = Number(process.env['PLINTH_BENCH_COUNTED'] ?? 20);
const SETTLE_MS = 2_000;
const IDLE_MS = 8_000;

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
async function compareKinds(system: BenchSystem): Promise<void> {
  const kinds = [
    { name: "the host's users, a loopback", body: { hostUsers: true, network: 'isolated' } },
    { name: 'its own users, a loopback', body: { hostUsers: false, network: 'isolated' } },
    { name: "the host's users, its own network", body: { hostUsers: true, network: 'container' } },
    { name: 'its own users and network', body: { hostUsers: false, network: 'container' } },
  ].map((kind) => ({ ...kind, times: [] as number[], phases: [] as Readonly<Record<string, number>>[] }));
  // Not the first one with a network: that also starts what all of them share, rules and resolver.
  await system.start({ ...IDLE, network: 'container' });
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    // In other orders, because a start also depends on what came before it.
    const turn = (round + WARM_UP) % kinds.length;
    for (const { body, times, phases } of [...kinds.slice(turn), ...kinds.slice(0, turn)]) {
      const started = await system.start({ ...IDLE, ...body });
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

/** One way to start a container; what it returns removes it. */
interface Way {
  readonly name: string;
  start(): Promise<{ readonly ms: number; readonly remove: () => void }>;
}

/** What all that are compared give to a container. */
const KINDS = [
  {
    name: 'users, network and a published port of its own',
    network: true,
    body: { network: 'container', ports: [{ container: 80 }] },
  },
  { name: 'users of its own, a loopback', network: false, body: { network: 'isolated' } },
] as const;

function waysOf(kind: (typeof KINDS)[number], system: BenchSystem, bare: BareCrun, podman: Podman | string): Way[] {
  const { network, body } = kind;
  const ways: Way[] = [
    {
      name: 'plinth: publish → container.started',
      start: async () => {
        const { ms, name } = await system.start({ ...IDLE, ...body });
        return { ms, remove: () => system.remove(name) };
      },
    },
    {
      name: network ? 'bare crun, ip and nft, by a shell script (floor)' : 'bare crun, by a shell script (floor)',
      start: async () => {
        const { ms, id } = bare.start(network);
        return { ms, remove: () => bare.remove(id) };
      },
    },
  ];
  if (typeof podman !== 'string')
    ways.push({
      name: network ? 'podman run -d --uidmap --network --publish' : 'podman run -d --uidmap --network none',
      start: async () => {
        const { ms, id } = podman.start({ network: network ? 'bridge' : 'none', port: network });
        return { ms, remove: () => podman.remove(id) };
      },
    });
  return ways;
}

async function comparePeers(system: BenchSystem, bare: BareCrun, podman: Podman | string): Promise<void> {
  const dock = docker(system.imageRoot);
  const ways = KINDS.flatMap((kind) =>
    waysOf(kind, system, bare, podman).map((way) => ({ ...way, kind, times: [] as number[] })),
  );
  // None is the first one with a network, which starts what all of them share.
  await system.start({ ...IDLE, network: 'container' });
  if (typeof podman !== 'string') podman.start({ network: 'bridge' });
  const leasts: number[] = [];
  const dockers: number[] = [];
  // Interleaved, and in other orders, so that other work of the machine affects all alike.
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const turn = (round + WARM_UP) % ways.length;
    for (const way of [...ways.slice(turn), ...ways.slice(0, turn)]) {
      const { ms, remove } = await way.start();
      remove();
      if (round >= 0) way.times.push(ms);
    }
    const least = bare.runToEnd();
    const ofDocker = dock?.();
    if (round < 0) continue;
    leasts.push(least);
    if (ofDocker !== undefined) dockers.push(ofDocker);
  }
  const least = percentile(leasts, 0.5);
  for (const kind of KINDS) {
    row(`${kind.name}: request → running`, 'p50 ms', 'p99 ms');
    const own = ways.filter((way) => way.kind === kind);
    for (const { name, times } of own) row(name, percentile(times, 0.5), percentile(times, 0.99));
    const [ours, floor, peer] = own.map(({ times }) => percentile(times, 0.5));
    row('ratio to bare crun with the same', (ours ?? Number.NaN) / (floor ?? Number.NaN));
    row('ratio to the least of crun, below (goal ≤ 4)', (ours ?? Number.NaN) / least);
    if (peer !== undefined) row('times faster than podman', peer / (ours ?? Number.NaN));
    console.log('');
  }
  row("the least: crun run /bin/true, the host's users", least, percentile(leasts, 0.99));
  if (dockers.length > 0) {
    row('docker run -d --network none', percentile(dockers, 0.5), percentile(dockers, 0.99));
    const ours = ways.find(({ kind }) => !kind.network)?.times ?? [];
    row('times faster than docker, a loopback (goal ≥ 4)', percentile(dockers, 0.5) / percentile(ours, 0.5));
  } else console.log('docker run: no Docker daemon answers here, not measured');
}

/** What is counted: processor-time.ts. Each kind in a row, and nothing is removed before the time was read. */
async function compareProcessorTime(system: BenchSystem, bare: BareCrun, podman: Podman | string): Promise<void> {
  await delay(SETTLE_MS);
  const before = system.processorMs();
  await delay(IDLE_MS);
  const after = system.processorMs();
  const idle = { hosts: (after.hosts - before.hosts) / IDLE_MS, all: (after.all - before.all) / IDLE_MS };
  console.log('');
  row(`user and system time of a start, mean of ${COUNTED}, ms`, ...KINDS.map(({ name }) => name));
  const rows: Record<string, number[]> = {};
  const put = (name: string, ms: number): void => void (rows[name] ??= []).push(ms / COUNTED);
  for (const { network, body } of KINDS) {
    const from = system.processorMs();
    const begin = performance.now();
    const started: Awaited<ReturnType<BenchSystem['start']>>[] = [];
    for (let index = 0; index < COUNTED; index++) started.push(await system.start({ ...IDLE, ...body }));
    await delay(SETTLE_MS);
    const to = system.processorMs();
    const elapsed = performance.now() - begin;
    const containers = processorMsOfContainers(started.map(({ id }) => id));
    put('plinth: agent, conmon, crun, container', to.hosts - from.hosts - idle.hosts * elapsed + containers);
    put('plinth: with provisioner, PostgreSQL, NATS', to.all - from.all - idle.all * elapsed + containers);
    system.remove(...started.map(({ name }) => name));

    const kind = network ? 'network' : 'loopback';
    const bares = Array.from({ length: COUNTED }, () => bare.start(network, `bare-${kind}`).id);
    put('bare crun, shell script', bare.space?.processorMs(`bare-${kind}`) ?? Number.NaN);
    for (const id of bares) bare.remove(id);

    if (typeof podman === 'string') continue;
    const group = `podman-${kind}`;
    const podmans = Array.from(
      { length: COUNTED },
      () => podman.start({ network: network ? 'bridge' : 'none', port: network, group }).id,
    );
    put('podman: podman, conmon, crun, plugins, container', podman.space.processorMs(group));
    podman.remove(...podmans);
  }
  for (const [name, values] of Object.entries(rows)) row(name, ...values);
  row('processor when idle, % of a core: agents, all', idle.hosts * 100, idle.all * 100);
}

async function compareAlive(system: BenchSystem): Promise<void> {
  const few: number[] = [];
  const many: number[] = [];
  for (let live = 0; live < MANY + 20; live++) {
    const { ms } = await system.start(IDLE);
    if (live >= FEW && live < FEW + 20) few.push(ms);
    if (live >= MANY) many.push(ms);
  }
  console.log('');
  row('start time with containers alive', 'p50 ms');
  row(`${FEW} to ${FEW + 20} alive`, percentile(few, 0.5));
  row(`${MANY} to ${MANY + 20} alive`, percentile(many, 0.5));
  row('ratio (goal ≤ 1.3)', percentile(many, 0.5) / percentile(few, 0.5));
}

async function measure(system: BenchSystem): Promise<void> {
  const space = await PeerSpace.open();
  try {
    const bare = new BareCrun(system.imageRoot, space);
    const podman = Podman.open(space, system.imageRoot);
    row(typeof podman === 'string' ? podman : podman.name, `load ${loadavg()[0]?.toFixed(1)}`);
    await comparePeers(system, bare, podman);
    await compareProcessorTime(system, bare, podman);
  } finally {
    space.close();
  }
  if (process.argv.includes('--peers')) return;
  await compareKinds(system);
  await compareAlive(system);
  row('load at the end', loadavg()[0] ?? Number.NaN);
}

await enterPrivateMountNamespace();
process.env['PLINTH_ALLOW_HOST_USERS'] = 'true';
const system = await startSystem();
try {
  if (process.argv.includes('--kinds')) await compareKinds(system);
  else await measure(system);
} finally {
  await system.close();
}
process.exit(0);
