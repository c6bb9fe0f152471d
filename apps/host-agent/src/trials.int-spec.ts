/** Images on trial with the agent as a process: interruptions of a trial, and a revert that fails at first. */
import { type ChildProcess } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ContainerReport, Digest } from '@plinth/contracts';
import { newId } from '@plinth/service-kit';
import { AgentBench, leftovers } from './testing/agent-bench.js';

let bench: AgentBench;
let agent: ChildProcess;
let next: Digest;
const ids: string[] = [];

const ILL = { exec: ['/bin/false'], intervalSeconds: 0.2, timeoutSeconds: 2, retries: 1, startPeriodSeconds: 0 };
const WELL = { ...ILL, exec: ['/bin/true'] };

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
  next = await bench.installImage('v4');
  agent = bench.startAgent();
});

afterAll(async () => {
  await bench.close();
  expect(leftovers(bench, ids)).toEqual([]);
});

type Config = ReturnType<AgentBench['config']>;

/** A container on v1 that runs. */
async function running(): Promise<{ readonly config: Config; readonly first: ContainerReport }> {
  const config = bench.config({ stopGraceSeconds: 0 });
  ids.push(config.containerId);
  await bench.publishConfig(config);
  return { config, first: await bench.report(config.containerId, 'started') };
}

function updateOf(config: Config, more: Record<string, unknown> = {}, judged: Record<string, unknown> = {}): Config {
  const { image, contentDigest } = config;
  const update = {
    updateId: newId(),
    knownGood: { image, contentDigest, runGeneration: 1 },
    stableSeconds: 0,
    soakSeconds: 0,
    ...judged,
  };
  return {
    ...config,
    generation: 2,
    runGeneration: 2,
    image: 'debian-12@v4',
    contentDigest: next,
    update,
    ...more,
  } as Config;
}

const reportsOf = (config: Config, kind: ContainerReport['kind']): readonly ContainerReport[] =>
  bench.reports.filter((report) => report.containerId === config.containerId && report.kind === kind);
const alive = (pid: number | undefined): boolean => pid !== undefined && existsSync(`/proc/${pid}/exe`);

async function killAgent(): Promise<void> {
  await bench.stopAgent(agent, 'SIGKILL');
  agent = bench.startAgent();
}

async function remove(config: Config): Promise<void> {
  await bench.publishConfig({ ...config, generation: 9, desired: 'removed', deleteData: true });
  await bench.report(config.containerId, 'removed');
}

describe('a trial', () => {
  it('is passed, and the config that confirms it restarts nothing', async () => {
    const { config, first } = await running();
    const update = updateOf(config, { health: WELL });
    await bench.publishConfig(update);
    expect(await bench.report(config.containerId, 'updated')).toMatchObject({ image: 'debian-12@v4' });
    const second = await bench.report(config.containerId, 'started', { after: first.sequence });
    expect(alive(first.pid)).toBe(false);
    await bench.publishConfig({ ...update, generation: 3, update: undefined });
    expect(await bench.report(config.containerId, 'started', { generation: 3 })).toMatchObject({
      pid: second.pid,
      image: 'debian-12@v4',
    });
    expect(alive(second.pid)).toBe(true);
    await remove(update);
  });

  it('goes on when the agent is killed in it, and is reported once', async () => {
    const { config } = await running();
    const update = updateOf(config, {}, { stableSeconds: 1, soakSeconds: 1 });
    await bench.publishConfig(update);
    const started = await bench.report(config.containerId, 'started', { generation: 2 });
    await killAgent();
    await bench.report(config.containerId, 'updated');
    expect(alive(started.pid)).toBe(true);
    expect(
      new Set(
        reportsOf(config, 'started')
          .filter(({ generation }) => generation === 2)
          .map(({ pid }) => pid),
      ).size,
    ).toBe(1);
    await remove(update);
  });

  it('that fails is reverted in the end, through failures of the revert and a kill of the agent', async () => {
    const { config } = await running();
    const update = updateOf(config, { health: ILL });
    const image = join(bench.storage, 'images/debian-12/v1');
    await bench.publishConfig(update);
    // The image to revert to is missing for a while.
    renameSync(image, `${image}.away`);
    try {
      expect(await bench.report(config.containerId, 'reverting')).toMatchObject({
        reason: 'unhealthy',
        failedImage: 'debian-12@v4',
        image: 'debian-12@v1',
      });
      expect(await bench.report(config.containerId, 'failed')).toMatchObject({
        reason: 'revert-failed',
        retryInMs: 1_000,
        message: expect.stringContaining('image-missing'),
      });
      await killAgent();
      await bench.report(config.containerId, 'failed', { after: reportsOf(config, 'failed').at(-1)?.sequence });
    } finally {
      renameSync(`${image}.away`, image);
    }
    const reverted = await bench.report(config.containerId, 'reverted');
    expect(reverted).toMatchObject({ image: 'debian-12@v1', failedImage: 'debian-12@v4', reason: 'unhealthy' });
    expect(reverted.durationMs).toBeGreaterThan(0);
    expect(reportsOf(config, 'started').at(-1)).toMatchObject({ image: 'debian-12@v1', generation: 2 });
    await remove(update);
  });

  it('is ended by a stop at once, also in a check that hangs, and begun again by a start', async () => {
    const { config } = await running();
    const update = updateOf(config, { health: { ...WELL, exec: ['/bin/sleep', '600'], timeoutSeconds: 600 } });
    await bench.publishConfig(update);
    await bench.report(config.containerId, 'started', { generation: 2 });
    await bench.publishConfig({ ...update, generation: 3, desired: 'stopped' });
    await bench.report(config.containerId, 'stopped', { generation: 3 });
    expect(reportsOf(config, 'reverting')).toEqual([]);
    await bench.publishConfig({ ...update, generation: 4, runGeneration: 4, health: WELL });
    await bench.report(config.containerId, 'updated', { generation: 4 });
    await remove(update);
  });

  it('is refused for an image that can not be started here, and nothing is changed', async () => {
    const { config, first } = await running();
    const update = updateOf(config, { image: 'debian-12@v9' });
    await bench.publishConfig(update);
    expect(await bench.report(config.containerId, 'update-refused')).toMatchObject({ reason: 'image-missing' });
    expect(alive(first.pid)).toBe(true);
    await bench.publishConfig({ ...config, generation: 3, runGeneration: 1 });
    await bench.report(config.containerId, 'started', { generation: 3 });
    expect(alive(first.pid)).toBe(true);
    await remove(config);
  });

  it('leaves nothing when its container is removed in it', async () => {
    const { config } = await running();
    const update = updateOf(config, {}, { soakSeconds: 600, snapshotData: true });
    await bench.publishConfig(update);
    await bench.report(config.containerId, 'started', { generation: 2 });
    await remove(update);
    expect(existsSync(join(bench.storage, 'volumes', String(config['dataVolume'])))).toBe(false);
  });
});
