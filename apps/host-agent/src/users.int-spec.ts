/** Whose ids the users of containers have, by the agent's policy. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AgentBench } from './testing/agent-bench.js';
import { contentOf } from './testing/signed-image.js';

let bench: AgentBench;

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
  await bench.installImage('v2', { user: { name: 'www-data', uid: 33, gid: 33, additionalGids: [] } });
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
    // A newer provisioner's field: it is ignored.
    const { users, firstId, volume } = await runWith({}, { ofALaterVersion: { deep: true } });
    expect(users).toBe('own');
    expect(firstId).toBeGreaterThanOrEqual(524_288);
    expect(statSync(volume).mode & 0o777).toBe(0o700);
  });

  it.each([false, true])(
    "own the root of their data from the first start on, and no later one (the host's: %s)",
    async (hostUsers) => {
      bench.settings = { PLINTH_ALLOW_HOST_USERS: 'true' };
      const agent = bench.startAgent();
      const config = bench.config({
        image: 'debian-12@v2',
        contentDigest: contentOf('v2'),
        ...(hostUsers && { hostUsers }),
      });
      const { containerId } = config;
      await bench.publishConfig(config);
      await bench.report(containerId, 'started');
      const data = join(bench.storage, 'volumes', String(config['dataVolume']), 'data');
      const owners = (): number[] =>
        [data, join(data, 'service')].flatMap((path) => [statSync(path).uid, statSync(path).gid]);
      expect(owners()).toEqual([33, 33, 33, 33]);
      expect(
        await bench.exec({ containerId, command: ['sh', '-c', 'id -u; touch /data/mine && stat -c %u /data/mine'] }),
      ).toMatchObject({
        stdout: '33\n33\n',
      });
      chownSync(data, 7, 7);
      await bench.publishConfig({ ...config, generation: 2, runGeneration: 2 });
      await bench.report(containerId, 'started', { generation: 2 });
      expect(statSync(data).uid).toBe(7);
      await bench.publishConfig({ ...config, generation: 3, runGeneration: 2, desired: 'removed' });
      await bench.report(containerId, 'removed');
      await bench.stopAgent(agent);
    },
  );

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
