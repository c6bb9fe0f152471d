/**
 * `npm run bench:rollout`: 200 idle containers from one version to the next, and back from one that fails, against bare
 * crun's stop and start of as many and, where a daemon answers, Docker's stop, rm and run; in one run.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { enterPrivateMountNamespace } from '@plinth/container-runtime';
import type { NatsConnection } from 'nats';
import { BareCrun } from './bare-crun.js';
import { type BenchSystem, percentile, row, startSystem } from './system.js';

const CONTAINERS = Number(process.env['PLINTH_BENCH_CONTAINERS'] ?? 200);
const FAILING = Math.min(20, CONTAINERS);
/** Number of containers that are switched one after the other. */
const ALONE = Math.min(20, CONTAINERS);

interface Report {
  readonly kind: string;
  readonly containerId: string;
  readonly at: string;
  readonly image?: string;
  readonly startedAt?: string;
  readonly phases?: Readonly<Record<string, number>>;
  readonly durationMs?: number;
}

/** Starts, kills and starts again with nothing but the runtime: the floor. @returns milliseconds for all */
function bareCycles(imageRoot: string, cycles: number): number {
  const bare = new BareCrun(imageRoot);
  let id = bare.runDetached();
  const begin = performance.now();
  for (let cycle = 0; cycle < cycles; cycle++) {
    bare.remove(id);
    id = bare.runDetached();
  }
  const ms = performance.now() - begin;
  bare.close();
  return ms;
}

/** @returns milliseconds of each stop, rm and run; undefined where no Docker daemon answers */
function dockerCycles(imageRoot: string, cycles: number): number[] | undefined {
  if (spawnSync('docker', ['info']).status !== 0) return undefined;
  execFileSync('sh', ['-c', 'tar -C "$1" -c . | docker import - plinth-bench', 'sh', imageRoot], { stdio: 'ignore' });
  const run = (): string =>
    execFileSync('docker', ['run', '-d', '--network', 'none', 'plinth-bench', '/bin/sleep', '1000'], {
      encoding: 'utf8',
    }).trim();
  const times: number[] = [];
  let id = run();
  for (let cycle = 0; cycle < cycles; cycle++) {
    const begin = performance.now();
    execFileSync('docker', ['stop', '-t', '0', id], { stdio: 'ignore' });
    execFileSync('docker', ['rm', id], { stdio: 'ignore' });
    id = run();
    times.push(performance.now() - begin);
  }
  execFileSync('docker', ['rm', '-f', id], { stdio: 'ignore' });
  return times;
}

function buildVersion(system: BenchSystem, more: string): string {
  const path = join(system.home, 'recipe.yaml');
  writeFileSync(path, `name: debian-12\nfrom: debian-12@v1\n${more}`);
  const { ref } = JSON.parse(system.plinth('image', 'build', path, '--json')) as { ref: string };
  system.plinth('image', 'promote', ref);
  return ref;
}

/** Reads the reports since the last call from their stream, which an operator may read but not subscribe to. */
function reportReader(connection: NatsConnection): () => Promise<Report[]> {
  let next = 1;
  return async () => {
    const reports: Report[] = [];
    for (; ; next++) {
      const message = await connection.request('$JS.API.DIRECT.GET.PLINTH_REPORTS', JSON.stringify({ seq: next }));
      if (message.headers?.code === 404) return reports;
      if (/^report\.host\.[^.]+\.container\./.test(message.headers?.get('Nats-Subject') ?? ''))
        reports.push(message.json<Report>());
    }
  };
}

/** Milliseconds from each stop signal to the new first process. */
function downtimesOf(reports: readonly Report[], image: string): number[] {
  return [...new Set(reports.map(({ containerId }) => containerId))].flatMap((id) => {
    const own = reports.filter(({ containerId }) => containerId === id);
    const down = own.find(({ kind }) => kind === 'stopping');
    const up = own.find((report) => report.kind === 'started' && report.image === image);
    return down && up ? [Date.parse(up.startedAt ?? up.at) - Date.parse(down.at)] : [];
  });
}

async function measure(system: BenchSystem): Promise<void> {
  const newReports = reportReader(system.connection);
  const good = buildVersion(system, 'files: [{ path: /etc/two, content: two }]\n');
  const bad = buildVersion(system, 'files: [{ path: /etc/bad, content: bad }]\n');
  const body = {
    command: ['/bin/sleep', '1000000'],
    tenant: 'bench',
    health: { exec: ['/usr/bin/test', '!', '-e', '/etc/bad'], intervalSeconds: 1, retries: 1 },
  };
  for (let count = 0; count < CONTAINERS; count++) await system.start(body);
  const starts = (await newReports())
    .filter(({ kind }) => kind === 'started')
    .map(({ phases }) => (phases?.['premount'] ?? 0) + (phases?.['mount'] ?? 0) + (phases?.['runtime'] ?? 0));

  // One at a time, and back again: these downtimes are compared with a start.
  const one = (
    JSON.parse(system.plinth('ps', '--tenant', 'bench', '--json')) as { name: string; image: string }[]
  ).slice(0, ALONE);
  for (const { name } of one)
    system.plinth('switch', name, '--tenant', 'bench', '--to', good, '--stable', '0s', '--soak', '0s');
  const alone = downtimesOf(await newReports(), good);
  for (const { name, image } of one)
    system.plinth('switch', name, '--tenant', 'bench', '--to', image, '--stable', '0s', '--soak', '0s');
  await newReports();

  const begin = performance.now();
  system.plinth(
    'rollout',
    'start',
    '--select',
    'tenant=bench',
    '--to',
    good,
    '--canary',
    '1',
    '--batch',
    '10%',
    '--stable',
    '0s',
    '--soak',
    '0s',
    '--wait',
  );
  const total = performance.now() - begin;
  const reports = await newReports();
  const inBatches = downtimesOf(reports, good);
  const floor = bareCycles(system.imageRoot, CONTAINERS);
  const dockers = dockerCycles(system.imageRoot, 20);

  const names = (JSON.parse(system.plinth('ps', '--tenant', 'bench', '--json')) as { name: string }[])
    .slice(0, FAILING)
    .map(({ name }) => `container=${name}`);
  const failing = system.tryPlinth(
    'rollout',
    'start',
    '--select',
    names.join(','),
    '--to',
    bad,
    '--canary',
    '0',
    '--batch',
    '1',
    '--max-failures',
    '100000',
    '--stable',
    '0s',
    '--soak',
    '0s',
    '--wait',
  );
  if (!failing.includes('completed')) throw new Error(failing);
  const reverts = (await newReports()).flatMap(({ kind, durationMs }) =>
    kind === 'reverted' && durationMs !== undefined ? [durationMs] : [],
  );

  row(`${CONTAINERS} idle containers to the next version, batches of 10 %`, 'total s', 'per container ms');
  row('plinth rollout, canary and health checks included', total / 1000, total / CONTAINERS);
  row('bare crun, delete and run, one after the other', floor / 1000, floor / CONTAINERS);
  if (dockers) row('docker stop, rm, run (p50 of 20)', '', percentile(dockers, 0.5));
  else console.log('docker: no daemon answers here, not measured');
  row('ratio to bare crun', total / floor);
  console.log('');
  row('', 'p50 ms', 'p99 ms');
  row('a start in the agent (premount, mount, runtime)', percentile(starts, 0.5), percentile(starts, 0.99));
  row(
    `downtime of a switch alone (${alone.length}), stop signal → running`,
    percentile(alone, 0.5),
    percentile(alone, 0.99),
  );
  row(`downtime in a rollout's batches (${inBatches.length})`, percentile(inBatches, 0.5), percentile(inBatches, 0.99));
  row(
    `revert (${reverts.length}), verdict → running on known good`,
    percentile(reverts, 0.5),
    percentile(reverts, 0.99),
  );
  row('downtime alone to a start (goal ≤ 2)', percentile(alone, 0.5) / percentile(starts, 0.5));
  row('downtime in batches to a start (goal ≤ 2)', percentile(inBatches, 0.5) / percentile(starts, 0.5));
  row('revert to a start (goal ≤ 2)', percentile(reverts, 0.5) / percentile(starts, 0.5));
}

await enterPrivateMountNamespace();
const system = await startSystem();
try {
  await measure(system);
} finally {
  await system.close();
}
process.exit(0);
