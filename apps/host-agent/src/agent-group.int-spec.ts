/** An agent whose group is ended as a whole, as Docker does with that of a container: real cgroups, NATS and crun. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { instanceName, monitorGroup } from '@plinth/container-runtime';
import { enterNewNetwork } from '@plinth/host-network';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

const CGROUPS = '/sys/fs/cgroup';
const GROUP = `/plinth-agent.spec-${process.pid}`;
const hierarchies = existsSync(`${CGROUPS}/cgroup.procs`)
  ? [CGROUPS]
  : readdirSync(CGROUPS, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(CGROUPS, name));
const COMMAND = ['/usr/bin/perl', '-e', '$| = 1; $SIG{TERM} = sub { exit 7 }; while (1) { print "here\\n"; sleep 1 }'];

let bench: AgentBench;
let agent: ChildProcess;

const members = (root: string): number[] =>
  readFileSync(`${root}${GROUP}/cgroup.procs`, 'utf8').split('\n').filter(Boolean).map(Number);
/** The agent has left its group of the one that it hides. */
const HIDDEN = `${CGROUPS}/unified`;
const held = (path: string): string[] => hierarchies.filter((root) => existsSync(root + path));
const text = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');

/** An agent that has just been started may not listen yet: nobody answers then. */
function answered(containerId: string): Promise<string> {
  const asked = (): Promise<string | undefined> =>
    Promise.race([
      bench.exec({ containerId, command: ['/bin/echo', 'still here'] }).then(({ stdout }) => stdout),
      delay(2_000, undefined),
    ]);
  return waitFor(asked, 'an answer to a command');
}

/** Kills what is in the group in any hierarchy, until nothing is. */
async function endGroup(): Promise<void> {
  const ended = once(agent, 'exit');
  await waitFor(() => {
    const pids = hierarchies.flatMap(members);
    for (const pid of pids)
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        continue;
      }
    return pids.length === 0 ? true : undefined;
  }, 'the end of the group');
  await ended;
}

beforeAll(async () => {
  enterNewNetwork();
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  bench = await AgentBench.open();
  await bench.installImage('v1');
  bench.leaseSeconds = 30;
  for (const root of hierarchies) {
    mkdirSync(root + GROUP);
    for (const file of ['cpuset.cpus', 'cpuset.mems'])
      if (existsSync(`${root}/${file}`)) writeFileSync(`${root}${GROUP}/${file}`, readFileSync(`${root}/${file}`));
  }
  const enter = hierarchies.map((root) => `echo $$ > ${root}${GROUP}/cgroup.procs`).join(' && ');
  bench.view = ['sh', '-c', `${enter} && exec "$@"`, 'sh'];
  agent = bench.startAgent();
});

afterAll(async () => {
  bench.view = [];
  await bench.close();
  for (const root of hierarchies) rmdirSync(root + GROUP);
});

describe('an agent whose group is ended as a whole', () => {
  it('leaves its containers, their monitors, guard and resolver behind, for the next agent', async () => {
    const address = { ipv4: '10.64.1.1', ipv6: 'fd00:706c:696e::a40:101' };
    const tenant = { tenant: 'tenant-1', tenantNumber: 1 };
    const config = bench.config({ network: 'container', address, ...tenant, command: COMMAND });
    const { containerId } = config;
    await bench.publishConfig(config);
    const started = await bench.report(containerId, 'started');
    const runtime = join(bench.hostDirectory, 'runtime');
    const group = monitorGroup(instanceName(runtime));
    expect(held(group.path)).toEqual(hierarchies.filter((root) => root !== HIDDEN));
    // What the agent has in its group is itself.
    expect(new Set(hierarchies.flatMap(members))).toEqual(new Set([agent.pid]));

    await endGroup();
    agent = bench.startAgent();
    const again = await bench.report(containerId, 'started', { after: started.sequence });
    expect(again.pid).toBe(started.pid);
    const before = text(join(runtime, 'logs', `${containerId}.log`));
    expect(await answered(containerId)).toBe('still here\n');
    expect(bench.alive(containerId)).toContain(started.pid);
    // Its monitor goes on with the log, and knows how it ends.
    await waitFor(
      () => (text(join(runtime, 'logs', `${containerId}.log`)).length > before.length ? true : undefined),
      'the log to go on',
    );
    await bench.publishConfig({ ...config, generation: 2, desired: 'stopped' });
    expect(await bench.report(containerId, 'stopped')).toMatchObject({ exitCode: 7 });
    await bench.publishConfig({ ...config, generation: 3, desired: 'removed', deleteData: true });
    await bench.report(containerId, 'removed');

    await bench.stopAgent(agent);
    bench.view = [];
    bench.removeAll();
    expect(held(group.path)).toEqual([]);
    expect(leftovers(bench, [containerId]).filter((line) => !line.startsWith('mount'))).toEqual([]);
  });
});
