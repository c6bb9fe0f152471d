/**
 * Health checks with the agent as a process: hung containers, restarts, an agent that is killed, a bus that is away.
 */
import { type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ContainerReport } from '@plinth/contracts';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

let bench: AgentBench;
let agent: ChildProcess;
const ids: string[] = [];

/** The container is healthy while /data/ill does not exist. */
const WELL_UNLESS_ILL = ['/bin/sh', '-c', 'test ! -e /data/ill || { echo not well; exit 1; }'];
const CHECK = { exec: WELL_UNLESS_ILL, intervalSeconds: 0.2, timeoutSeconds: 10, retries: 2, startPeriodSeconds: 0 };

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
  agent = bench.startAgent();
});

afterAll(async () => {
  await bench.close();
  expect(leftovers(bench, ids)).toEqual([]);
});

type Config = ReturnType<AgentBench['config']>;

async function start(
  more: Record<string, unknown> = {},
): Promise<{ readonly config: Config; readonly first: ContainerReport }> {
  const config = bench.config({ stopGraceSeconds: 0, health: CHECK, ...more });
  ids.push(config.containerId);
  await bench.publishConfig(config);
  return { config, first: await bench.report(config.containerId, 'started') };
}

async function remove(config: Config): Promise<void> {
  await bench.publishConfig({ ...config, generation: 9, desired: 'removed', deleteData: true });
  await bench.report(config.containerId, 'removed');
}

const sh = (config: Config, script: string): Promise<unknown> =>
  bench.exec({ containerId: config.containerId, command: ['/bin/sh', '-c', script] });
const reportsOf = (config: Config, kind: ContainerReport['kind']): readonly ContainerReport[] =>
  bench.reports.filter((report) => report.containerId === config.containerId && report.kind === kind);
/** Pids of the container's processes with this command. */
const sleepers = (config: Config, seconds: string): readonly number[] =>
  bench.alive(config.containerId).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(seconds);
    } catch {
      // It has ended.
      return false;
    }
  });

async function killAgent(): Promise<void> {
  await bench.stopAgent(agent, 'SIGKILL');
  agent = bench.startAgent();
}

describe('a container with a health check', () => {
  it('is healthy, becomes unhealthy, is restarted by its policy, and is healthy again', async () => {
    const { config, first } = await start();
    expect(first.health).toBe('starting');
    const healthy = await bench.report(config.containerId, 'healthy');
    await sh(config, 'touch /data/ill');
    const unhealthy = await bench.report(config.containerId, 'unhealthy');
    expect(unhealthy).toMatchObject({
      health: 'unhealthy',
      willRestart: true,
      message: 'its health check failed 2 times in a row: exit code 1',
      failedChecks: [{ output: 'not well\n' }, { output: 'not well\n' }],
    });
    const stopped = await bench.report(config.containerId, 'stopped', { after: unhealthy.sequence });
    expect(stopped).toMatchObject({ cause: 'unhealthy', retryInMs: 1_000 });
    const second = await bench.report(config.containerId, 'started', { after: stopped.sequence });
    expect(second).toMatchObject({ restarts: 1, health: 'starting' });
    await sh(config, 'rm /data/ill');
    await bench.report(config.containerId, 'healthy', { after: Math.max(second.sequence, healthy.sequence) });
    await remove(config);
  });

  it('that is never restarted goes on, unhealthy, and is healthy again when its check succeeds', async () => {
    const { config, first } = await start({ restart: { policy: 'never' } });
    await bench.report(config.containerId, 'healthy');
    await sh(config, 'touch /data/ill');
    const unhealthy = await bench.report(config.containerId, 'unhealthy');
    expect(unhealthy.willRestart).toBe(false);
    await sh(config, 'rm /data/ill');
    await bench.report(config.containerId, 'healthy', { after: unhealthy.sequence });
    expect(reportsOf(config, 'started').map(({ pid }) => pid)).toEqual([first.pid]);
    await remove(config);
  });

  it('is restarted no more often than its policy allows, and then left as it is', async () => {
    const { config } = await start({
      restart: { policy: 'always', maxRetries: 1 },
      health: { ...CHECK, exec: ['/bin/false'], retries: 1 },
    });
    const unhealthy = await waitFor(() => reportsOf(config, 'unhealthy')[1], 'unhealthy twice');
    expect(unhealthy.willRestart).toBe(false);
    expect(bench.alive(config.containerId)).not.toEqual([]);
    await remove(config);
  });

  it('whose check hangs is unhealthy, and no process of the check is left', async () => {
    const { config } = await start({
      restart: { policy: 'never' },
      health: {
        ...CHECK,
        exec: ['/bin/sh', '-c', '(setsid sleep 4721 &); sleep 4721'],
        timeoutSeconds: 0.5,
        intervalSeconds: 3600,
        retries: 1,
      },
    });
    expect(await bench.report(config.containerId, 'unhealthy')).toMatchObject({
      message: 'its health check failed: no end within 0.5 s',
    });
    expect(sleepers(config, '4721')).toEqual([]);
    await remove(config);
  });

  it('is stopped at once, also in a check that hangs', async () => {
    const { config } = await start({ health: { ...CHECK, exec: ['/bin/sleep', '4722'], timeoutSeconds: 600 } });
    await waitFor(() => sleepers(config, '4722')[0], 'the check');
    await bench.publishConfig({ ...config, generation: 2, desired: 'stopped' });
    await bench.report(config.containerId, 'stopped', { generation: 2 });
    expect(reportsOf(config, 'unhealthy')).toEqual([]);
    await remove(config);
  });
});

describe('an agent that is killed', () => {
  it('in a check leaves nothing of the check, and the next agent continues from the same state', async () => {
    const hangs = '/data/hangs';
    const { config, first } = await start({
      health: {
        ...CHECK,
        exec: ['/bin/sh', '-c', `test ! -e ${hangs} || { (setsid sleep 4723 &); sleep 4723; }`],
        timeoutSeconds: 600,
      },
    });
    await bench.report(config.containerId, 'healthy');
    await sh(config, `touch ${hangs}`);
    await waitFor(() => (sleepers(config, '4723').length === 2 ? true : undefined), 'the check');
    await bench.stopAgent(agent, 'SIGKILL');
    expect(sleepers(config, '4723')).toHaveLength(2);
    // The next agent must not begin another check that hangs.
    const kept = sleepers(config, '4723');
    agent = bench.startAgent();
    const again = await bench.report(config.containerId, 'started', {
      after: reportsOf(config, 'healthy')[0]?.sequence,
    });
    expect(again).toMatchObject({ pid: first.pid, health: 'healthy' });
    expect(sleepers(config, '4723').filter((pid) => kept.includes(pid))).toEqual([]);
    expect(reportsOf(config, 'unhealthy')).toEqual([]);
    await remove(config);
  });

  it('while its container is being restarted for being unhealthy restarts it once', async () => {
    const { config } = await start({
      stopGraceSeconds: 1,
      command: ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 1; done'],
    });
    await bench.report(config.containerId, 'healthy');
    await sh(config, 'touch /data/ill');
    const { sequence } = await bench.report(config.containerId, 'unhealthy');
    await killAgent();
    const stopped = await bench.report(config.containerId, 'stopped', { after: sequence });
    expect(stopped.cause).toBe('unhealthy');
    await bench.publishConfig({ ...config, generation: 9, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed');
    expect(reportsOf(config, 'unhealthy').length).toBeGreaterThan(0);
  });
});

describe('a bus that is away', () => {
  it('gets the change of health when it is back, in order', async () => {
    const { config } = await start({ restart: { policy: 'never' } });
    const { sequence } = await bench.report(config.containerId, 'healthy');
    const before = readFileSync(`${bench.hostDirectory}/containers/${config.containerId}/record.json`, 'utf8');
    expect(before).toContain('"state":"healthy"');
    await sh(config, '(sleep 1; touch /data/ill) >/dev/null 2>&1 &');
    await bench.stopNats();
    await waitFor(
      () =>
        readFileSync(`${bench.hostDirectory}/containers/${config.containerId}/record.json`, 'utf8').includes(
          '"healthTold":{"run":1,"state":"unhealthy"}',
        ) || undefined,
      'the agent has found it',
    );
    await bench.startNatsAgain();
    expect(await bench.report(config.containerId, 'unhealthy', { after: sequence })).toMatchObject({
      willRestart: false,
    });
    await remove(config);
  });
});
