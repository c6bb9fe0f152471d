/** Whose ids the users of containers have, by the agent's policy. */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { agentStats, type ContainerStats, type QueryReply } from '@plinth/contracts';
import { hasCode } from '@plinth/host-os';
import { ErrorCode } from 'nats';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';
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

/** As soon as an agent answers. */
async function statsOf(id: string): Promise<ContainerStats | undefined> {
  for (;;) {
    try {
      const answer = await bench.connection.request(agentStats(bench.host), '{}', { timeout: 60_000 });
      const reply = answer.json<QueryReply<ContainerStats[]>>();
      if (!reply.ok) throw new Error(reply.message);
      return reply.data.find(({ containerId }) => containerId === id);
    } catch (error) {
      if (!hasCode(error, ErrorCode.NoResponders)) throw error;
      await delay(50);
    }
  }
}

describe('on a host with cgroups of version 2 alone', () => {
  /** Its controllers are on version 1 here, so that no limit can be held. */
  const VIEW = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c'];
  const MOUNT = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"';
  const isUnified = existsSync('/sys/fs/cgroup/cgroup.controllers');

  beforeAll(() => {
    if (!isUnified) bench.view = [...VIEW, MOUNT, 'view'];
  });
  afterAll(() => {
    bench.view = [];
    bench.settings = {};
  });

  it('limits are required, or preferred, where they can not be held', async () => {
    if (isUnified) return;
    bench.settings = {};
    const agent = bench.startAgent();
    expect(await new Promise((resolve) => agent.once('exit', resolve))).toBe(78);
    if (process.env['PLINTH_TEST_LOG'] === undefined)
      expect(readFileSync(join(bench.directory, 'agent.log'), 'utf8')).toMatch(/limit of memory, which is required/);
    expect(await runWith({ PLINTH_CONTAINER_LIMITS: 'preferred' })).toMatchObject({ users: 'own' });
  });

  it('containers run, are changed, answer queries, outlive their agent that is killed, and leave no cgroup', async () => {
    bench.settings = { PLINTH_CONTAINER_LIMITS: 'preferred' };
    let agent = bench.startAgent();
    const config = bench.config({ command: ['/bin/sh', '-c', 'sleep infinity & wait'] });
    const { containerId } = config;
    await bench.publishConfig(config);
    const first = await bench.report(containerId, 'started');
    // The shell starts before what it starts.
    await waitFor(async () => ((await statsOf(containerId))?.processes === 2 ? true : undefined), 'two processes');
    expect(await statsOf(containerId)).toMatchObject({ pid: first.pid, processes: 2 });

    const limits = { ...(config['limits'] as object), memoryBytes: 96 * 1024 ** 2 };
    await bench.publishConfig({ ...config, generation: 2, limits });
    const changed = await bench.report(containerId, 'started', { after: first.sequence });
    const pending = isUnified
      ? undefined
      : { part: 'memory', message: expect.stringMatching(/this host can not hold it/) };
    expect(changed.pending?.[0]).toEqual(pending);

    await bench.stopAgent(agent, 'SIGKILL');
    agent = bench.startAgent();
    expect(await statsOf(containerId)).toMatchObject({ pid: first.pid, processes: 2 });
    await bench.publishConfig({ ...config, limits, generation: 3, desired: 'removed' });
    await bench.report(containerId, 'removed');
    await bench.stopAgent(agent);
    expect(leftovers(bench, [containerId])).toEqual([]);
  });
});
