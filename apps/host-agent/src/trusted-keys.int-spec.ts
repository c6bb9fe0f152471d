/** The keys that a running host agent trusts. */
import { spawnSync } from 'node:child_process';
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AgentBench, leftovers } from './testing/agent-bench.js';

const AGENT = join(import.meta.dirname, '../dist/main.js');
let bench: AgentBench;
const ids: string[] = [];
const keys = (): string => join(bench.directory, 'keys');

function newConfig(overrides: Record<string, unknown> = {}): Record<string, unknown> & { containerId: string } {
  const config = bench.config(overrides);
  ids.push(config.containerId);
  return config;
}

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
});

afterAll(async () => {
  await bench.close();
  expect(leftovers(bench, ids)).toEqual([]);
});

describe('the keys of a running agent', () => {
  it('a key that is taken away stops being trusted, and one that is put back is trusted again', async () => {
    bench.startAgent();
    const config = newConfig();
    await bench.publishConfig(config);
    await bench.report(config.containerId, 'started');

    const [file = ''] = readdirSync(keys());
    renameSync(join(keys(), file), join(bench.directory, file));
    await bench.publishConfig({ ...config, generation: 2, runGeneration: 2 });
    const failed = await bench.report(config.containerId, 'failed', { generation: 2 });
    expect(failed).toMatchObject({
      reason: 'image-untrusted',
      message: expect.stringContaining(file.replace('.pem', '')),
      retryInMs: 1_000,
    });

    renameSync(join(bench.directory, file), join(keys(), file));
    await bench.report(config.containerId, 'started', { generation: 2 });
    await bench.publishConfig({ ...config, generation: 3, runGeneration: 2, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed');
  });
});

describe('an agent without a trusted key', () => {
  it.each<[string, () => string | undefined]>([
    ['not set', () => undefined],
    ['no path', () => 'keys'],
    ['a directory that is missing', () => join(bench.directory, 'nowhere')],
    ['a directory without a key', () => bench.storage],
  ])('does not start when PLINTH_TRUSTED_KEYS is %s', (_what, value) => {
    const { status, stderr } = spawnSync(process.execPath, [AGENT], {
      env: { ...bench.agentEnvironment('host-refused'), PLINTH_TRUSTED_KEYS: value() },
      encoding: 'utf8',
      timeout: 120_000,
    });
    expect({ status, stderr }).toEqual({ status: 78, stderr: expect.stringContaining('PLINTH_TRUSTED_KEYS') });
  });
});
