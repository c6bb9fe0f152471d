/**
 * `npm run bench:scale -- --containers 2000`: one agent with ever more idle containers, and which of its costs grow:
 * the latency of a start, memory, descriptors, processor time when idle, its own restart, removal. It starts only the
 * agent and a NATS server; bench:start measures a start with all services.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentBench, leftovers, waitFor } from '@plinth/host-agent/testing';
import { machineCounts, processCosts, processesWith, limitOf } from './process-costs.js';
import { percentile, row } from './system.js';

const LATENCY_STARTS = 40;
const AT_ONCE = 16;
const IDLE_SECONDS = 35;
const DOWN_SECONDS = 10;
const PATIENCE_MS = 300_000;

const { values } = parseArgs({ options: { containers: { type: 'string', default: '1000' } } });
const containers = Number(values.containers);
if (!Number.isInteger(containers) || containers < 100) {
  process.stderr.write('--containers takes a whole number from 100 on\n');
  process.exit(2);
}
const SIZES = [...new Set([100, Math.round(containers / 2), containers])].filter((size) => size >= 100);

type Config = ReturnType<AgentBench['config']>;

/** Figures of one size, by name; the columns of the table. */
type Figures = Record<string, number>;

const bench = await AgentBench.open();
bench.leaseSeconds = 30;
// A measurement that is interrupted removes everything that it started.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void bench.close().finally(() => process.exit(1)));
await bench.installImage('v1');
const live: Config[] = [];
let beats: { at: number; incarnation: string }[] = [];
void (async () => {
  for await (const message of bench.connection.subscribe(`heartbeat.host.${bench.host}`))
    beats.push({ at: performance.now(), incarnation: message.json<{ incarnation: string }>().incarnation });
})();

const config = (): Config =>
  bench.config({
    name: `scale-${live.length}`,
    tenant: `tenant-${live.length % 7}`,
    command: ['/bin/sleep', '1000000'],
    limits: { memoryBytes: 16 << 20, cpus: 1, pids: 16 },
  });

/** @returns ms from the config's publication to the report */
async function start(): Promise<number> {
  const wanted = config();
  live.push(wanted);
  const begun = performance.now();
  await bench.publishConfig(wanted);
  const report = await waitFor(
    () =>
      bench.reports.find(
        ({ containerId, kind }) => containerId === wanted.containerId && ['started', 'failed'].includes(kind),
      ),
    `start of ${wanted.containerId}`,
    PATIENCE_MS,
  );
  if (report.kind !== 'started') throw new Error(`not started: ${JSON.stringify(report)}`);
  return performance.now() - begun;
}

/** Starts several at a time, until that many run. */
async function fill(size: number): Promise<void> {
  const worker = async (): Promise<void> => {
    while (live.length < size) await start();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function remove(configs: readonly Config[]): Promise<void> {
  const queue = [...configs];
  const worker = async (): Promise<void> => {
    for (let next = queue.pop(); next; next = queue.pop()) {
      await bench.publishConfig({ ...next, generation: 2, desired: 'removed', deleteData: true });
      await bench.report(next.containerId, 'removed', {}, PATIENCE_MS);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function heartbeatOf(known: ReadonlySet<string>): Promise<number> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await delay(5)) {
    const beat = beats.find(({ incarnation }) => !known.has(incarnation));
    if (beat) return beat.at;
  }
  throw new Error('no heartbeat of the new agent');
}

async function stop(agent: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(agent, 'exit');
  agent.kill(signal);
  await ended;
}

let agent = bench.startAgent();
await heartbeatOf(new Set());

async function measure(size: number): Promise<Figures> {
  const figures: Figures = {};
  const begun = performance.now();
  const before = live.length;
  await fill(size - LATENCY_STARTS);
  figures['ms per start, 16 at a time'] = (performance.now() - begun) / Math.max(1, live.length - before);
  const latencies: number[] = [];
  for (let index = 0; index < LATENCY_STARTS; index++) latencies.push(await start());
  figures['ms from config to report, p50'] = percentile(latencies, 0.5);
  figures['ms from config to report, p99'] = percentile(latencies, 0.99);

  await delay(1_000);
  beats = [];
  const pid = agent.pid ?? 0;
  const idleBefore = processCosts(pid);
  await delay(IDLE_SECONDS * 1_000);
  const idle = processCosts(pid);
  const gaps = beats.slice(1).map(({ at }, index) => at - (beats[index]?.at ?? 0));
  figures['agent, MiB resident'] = idle.residentBytes / 1024 ** 2;
  figures['agent, descriptors'] = idle.descriptors;
  figures['agent, inotify instances'] = idle.inotifyInstances;
  figures['agent, CPU % when idle'] = ((idle.cpuSeconds - idleBefore.cpuSeconds) / IDLE_SECONDS) * 100;
  figures['longest gap between heartbeats of 3 s, ms'] = Math.max(...gaps);

  const known = new Set(beats.map(({ incarnation }) => incarnation));
  const [guard = 0] = processesWith('lease-guard.js', bench.directory);
  const stopping = performance.now();
  await stop(agent, 'SIGTERM');
  figures['agent stopped after, ms'] = performance.now() - stopping;
  const guardBefore = processCosts(guard).cpuSeconds;
  await delay(DOWN_SECONDS * 1_000);
  figures['lease guard, CPU % while no agent is there'] =
    ((processCosts(guard).cpuSeconds - guardBefore) / DOWN_SECONDS) * 100;
  const starting = performance.now();
  const reported = bench.reports.length;
  agent = bench.startAgent();
  figures['agent restarted, first heartbeat after, ms'] = (await heartbeatOf(known)) - starting;
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await delay(20))
    if (bench.reports.length >= reported + live.length) break;
  figures['  and every state announced after, ms'] = performance.now() - starting;
  figures['  with processor time, s'] = processCosts(agent.pid ?? 0).cpuSeconds;

  const victims = live.splice(-20);
  const removals: number[] = [];
  for (const victim of victims) {
    const at = performance.now();
    await remove([victim]);
    removals.push(performance.now() - at);
  }
  figures['ms per removal, p50'] = percentile(removals, 0.5);
  for (const [name, count] of Object.entries(machineCounts())) figures[`machine: ${name}`] = count;
  return figures;
}

const table = new Map<number, Figures>();
try {
  row('descriptors that the agent may have', limitOf(agent.pid ?? 0, 'Max open files'));
  for (const size of SIZES) {
    table.set(size, await measure(size));
    process.stderr.write(`${size} containers: ${JSON.stringify(table.get(size))}\n`);
  }
  row('', ...SIZES.map((size) => `${size} alive`));
  for (const name of Object.keys(table.get(SIZES[0] ?? 0) ?? {}))
    row(name, ...SIZES.map((size) => table.get(size)?.[name] ?? Number.NaN));
  const count = live.length;
  const begun = performance.now();
  await remove(live);
  row(`ms per removal, all ${count}, 16 at a time`, (performance.now() - begun) / count);
  const left = leftovers(
    bench,
    live.map(({ containerId }) => containerId),
  );
  row('mounts, cgroups and processes left', left.length);
  if (left.length > 0) {
    process.stderr.write(`${left.slice(0, 20).join('\n')}\n`);
    process.exitCode = 1;
  }
} finally {
  await bench.close();
}
process.exit();
