/** The agent as a process, with real NATS, crun and conmon. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ContainerReport, Digest } from '@plinth/contracts';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

let bench: AgentBench;
let agent: ChildProcess;
let hostile: Digest;
const ids: string[] = [];

function newConfig(overrides: Record<string, unknown> = {}): Record<string, unknown> & { containerId: string } {
  const config = bench.config(overrides);
  ids.push(config.containerId);
  return config;
}

const alive = (pid: number | undefined): boolean => pid !== undefined && existsSync(`/proc/${pid}/exe`);
const last = (reports: readonly ContainerReport[], containerId: string): number => Math.max(0, ...reports.filter((report) => report.containerId === containerId).map((report) => report.sequence));

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
  hostile = await bench.installImage('v2', { hostileDev: true });
  agent = bench.startAgent();
}, 180_000);

afterAll(async () => {
  await bench.stopAgent(agent);
  bench.removeAll();
  const left = leftovers(bench, ids);
  await bench.close();
  expect(left).toEqual([]);
}, 60_000);

describe('the life of one container', () => {
  it('is started, used, stopped, started again and removed', async () => {
    const config = newConfig({ software: 'hello', timezone: 'Asia/Tokyo' });
    await bench.desire(config);
    const started = await bench.report(config.containerId, 'started');
    expect(started).toMatchObject({ generation: 1, image: 'debian-12@v1', restarts: 0 });
    expect(alive(started.pid)).toBe(true);
    console.log(JSON.stringify(started));

    const script = 'cat /sw/greeting; hostname; echo "$SHOP $PLINTH_CONTAINER_NAME $LANG"; date +%Z; ls -d /data/service; echo kept > /data/file; touch /x 2>/dev/null || echo read-only; cat >&2; exit 3';
    const ran = await bench.exec({ containerId: config.containerId, command: ['/bin/sh', '-c', script], stdin: Buffer.from('to stderr').toString('base64') });
    expect(ran).toEqual({ stdout: 'hello from software\nshop-1\none shop-1 C.UTF-8\nJST\n/data/service\nread-only\n', stderr: 'to stderr', exit: { ok: true, data: { exitCode: 3 } } });

    await bench.desire({ ...config, generation: 2, desired: 'stopped' });
    const stopped = await bench.report(config.containerId, 'stopped', { generation: 2 });
    expect(stopped).toMatchObject({ cause: 'requested', exitCode: 137 });
    expect(alive(started.pid)).toBe(false);

    await bench.desire({ ...config, generation: 3, runGeneration: 3 });
    const again = await bench.report(config.containerId, 'started', { generation: 3 });
    expect(again).toMatchObject({ restarts: 1 });
    expect((await bench.exec({ containerId: config.containerId, command: ['cat', '/data/file'] })).stdout).toBe('kept\n');

    await bench.desire({ ...config, generation: 4, runGeneration: 4 });
    const restarted = await bench.report(config.containerId, 'started', { generation: 4 });
    expect(restarted.pid).not.toBe(again.pid);

    await bench.desire({ ...config, generation: 5, runGeneration: 4, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed');
    expect(existsSync(join(bench.storage, 'volumes', String(config['dataVolume'])))).toBe(false);
    const sequences = bench.reports.filter((report) => report.containerId === config.containerId).map((report) => report.sequence);
    expect(sequences).toEqual(sequences.map((_, index) => (sequences[0] ?? 0) + index));
  });
});
