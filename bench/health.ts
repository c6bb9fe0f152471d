/** `npm run bench:health`: what health checks cost a host, and how they slow down starts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BenchSystem, percentile, row, startSystem } from './system.js';

const CONTAINERS = [50, 200];
const ROUNDS = 30;
const SETTLE_MS = 30_000;
const SAMPLE_MS = 20_000;
/** proc(5): USER_HZ. */
const TICKS_PER_SECOND = 100;
const CHECK = { exec: ['/bin/true'], intervalSeconds: 1, timeoutSeconds: 30, retries: 1000 };
const IDLE = {
  command: ['/bin/sleep', '1000000'],
  restart: { policy: 'never' },
  limits: { memoryBytes: 8 << 20, cpus: 0.1 },
};

interface Agent {
  readonly pid: number;
  readonly health: string;
}

function agentOf(home: string): Agent {
  const { services } = JSON.parse(readFileSync(join(home, 'stack.json'), 'utf8')) as {
    services: readonly { readonly name: string; readonly pid: number; readonly health: string | null }[];
  };
  const found = services.find(({ name }) => name === 'host-agent');
  if (!found?.health) throw new Error('no host agent in stack.json');
  return { pid: found.pid, health: found.health };
}

/** Processor time so far, seconds: of the agent itself, and of the checks, which are its children. */
function processorSeconds(pid: number): { readonly agent: number; readonly checks: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const seconds = (index: number): number => ((fields[index] ?? 0) + (fields[index + 1] ?? 0)) / TICKS_PER_SECOND;
  return { agent: seconds(11), checks: seconds(13) };
}

async function metrics(agent: Agent): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(new URL('/metrics', agent.health))).text();
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

async function startLatency(system: BenchSystem): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = await system.start(IDLE);
    system.remove(started.name);
    times.push(started.ms);
  }
  return percentile(times, 0.5);
}

async function measure(system: BenchSystem): Promise<void> {
  const agent = agentOf(system.home);
  system.plinth('host', 'cordon', 'host-2');
  const alone = await startLatency(system);
  row('start alone, p50 ms', alone);
  let running = 0;
  for (const count of CONTAINERS) {
    for (; running < count; running++) await system.start({ ...IDLE, health: CHECK });
    // Waits until the intervals have settled.
    await delay(SETTLE_MS);
    const [before, metricsBefore] = [processorSeconds(agent.pid), await metrics(agent)];
    await delay(SAMPLE_MS);
    const [after, metricsAfter] = [processorSeconds(agent.pid), await metrics(agent)];
    const seconds = SAMPLE_MS / 1000;
    const grown = (name: string): number => (metricsAfter.get(name) ?? 0) - (metricsBefore.get(name) ?? 0);
    const checks = grown('plinth_health_checks_total{result="succeeded"}');
    const cores = { agent: (after.agent - before.agent) / seconds, checks: (after.checks - before.checks) / seconds };
    row(`${count} containers, a check of each every second`, 'seen');
    row('checks a second, asked for / run', `${count} / ${(checks / seconds).toFixed(1)}`);
    row('intervals multiplied by', metricsAfter.get('plinth_health_interval_stretch') ?? Number.NaN);
    row('processor of the agent itself, cores', cores.agent);
    row('processor of the checks, cores', cores.checks);
    row('processor of one check, all of it, ms', (1000 * seconds * (cores.agent + cores.checks)) / checks);
    row(
      'one check, mean ms',
      (1000 * grown('plinth_health_check_seconds_sum')) / grown('plinth_health_check_seconds_count'),
    );
    row(
      'late by, mean ms',
      (1000 * grown('plinth_health_check_lag_seconds_sum')) / grown('plinth_health_check_lag_seconds_count'),
    );
    const beside = await startLatency(system);
    row('start beside them, p50 ms', beside);
    row('ratio to a start alone', beside / alone);
  }
}

const system = await startSystem();
try {
  await measure(system);
} finally {
  await system.close();
}
