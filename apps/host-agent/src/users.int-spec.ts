/** Whose ids the users of containers have, by the agent's policy. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AgentBench } from './testing/agent-bench.js';

let bench: AgentBench;

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
});

afterAll(() => bench.close());

/** Runs a container under an agent with these settings, and returns its `started` and what is known of its ids. */
async function runWith(
  settings: NodeJS.ProcessEnv,
  overrides: Record<string, unknown> = {},
): Promise<{ readonly users: unknown; readonly firstId: number; readonly volume: string }> {
  bench.settings = settings;
  const agent = bench.startAgent();
  const config = bench.config(overrides);
  await bench.publishConfig(config);
  const started = await bench.report(config.containerId, 'started');
  const map = readFileSync(`/proc/${started.pid}/uid_map`, 'utf8').trim().split(/\s+/);
  await bench.publishConfig({ ...config, generation: 2, desired: 'removed' });
  await bench.report(config.containerId, 'removed');
  await bench.stopAgent(agent);
  return {
    users: started.users,
    firstId: Number(map[1]),
    volume: join(bench.storage, 'volumes', String(config['dataVolume'])),
  };
}

/** Where crun is not: Debian's runc can't run commands in a container with users of its own. */
function pathWithoutCrun(): string {
  const directory = mkdtempSync(join(bench.directory, 'path-'));
  for (const program of ['runc', 'conmon', 'setpriv'])
    symlinkSync(execFileSync('which', [program]).toString().trim(), join(directory, program));
  return directory;
}

describe('the users of a container', () => {
  it('are its own, and its volume is closed to the users of the host', async () => {
    const { users, firstId, volume } = await runWith({});
    expect(users).toBe('own');
    expect(firstId).toBeGreaterThanOrEqual(524_288);
    expect(statSync(volume).mode & 0o777).toBe(0o700);
  });

  it("are the host's where host and request agree on it, or the policy says so", async () => {
    const asked = { hostUsers: true };
    expect(await runWith({ PLINTH_ALLOW_HOST_USERS: 'true' }, asked)).toMatchObject({ users: 'host', firstId: 0 });
    expect(await runWith({ PLINTH_ALLOW_HOST_USERS: 'true' })).toMatchObject({ users: 'own' });
    expect(await runWith({ PLINTH_USER_NAMESPACES: 'off' })).toMatchObject({ users: 'host', firstId: 0 });
  });

  it('are required, or preferred, where they can not be their own', async () => {
    const PATH = pathWithoutCrun();
    expect(await runWith({ PATH, PLINTH_USER_NAMESPACES: 'preferred' })).toMatchObject({ users: 'host', firstId: 0 });
    bench.settings = { PATH };
    const log = join(bench.directory, 'agent.log');
    const agent = bench.startAgent();
    expect(await new Promise((resolve) => agent.once('exit', resolve))).toBe(78);
    if (process.env['PLINTH_TEST_LOG'] === undefined)
      expect(readFileSync(log, 'utf8')).toMatch(/PLINTH_USER_NAMESPACES is required, but runc.*install crun/);
    bench.settings = {};
  });
});
