/** Hosts that are drained, fall silent or are lost, with real containers that write down when they run. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSmallRootfs } from '@plinth/testkit';
import { type Ran, Stack } from './stack.js';

/** `<seconds since the boot> <run>`: a run has a name of its own. */
const WRITER =
  '[/bin/sh, -c, "read boot rest < /proc/uptime; while read up rest < /proc/uptime; do echo $up $boot >> ' +
  '/data/ticks; /bin/sleep 0.05; done"]';
const COUNT = 6;

const stack = new Stack();

interface Row {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly host: string | null;
  readonly pid: number | null;
}
const good = (ran: Ran): Ran => {
  if (ran.code !== 0) throw new Error(`ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
  return ran;
};
const ps = () => stack.client.containers();

async function until<T>(look: () => Promise<T | undefined | false>, what: string, seconds = 200): Promise<T> {
  for (
    const deadline = Date.now() + seconds * 1000;
    Date.now() < deadline;
    await new Promise((resolve) => setTimeout(resolve, 200))
  ) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}
const allRunOff = (host: string, seconds?: number): Promise<readonly Row[]> =>
  until(
    async () => {
      const rows = await ps();
      return rows.length === COUNT && rows.every((row) => row.state === 'running' && row.host !== host) && rows;
    },
    `all run, none on ${host}`,
    seconds,
  );

/** Runs in their order; a run that goes on after the next has begun is two containers on one volume. */
async function runsOf(
  name: string,
): Promise<readonly { readonly first: number; readonly last: number; readonly ticks: number }[]> {
  const { config, storageNode } = JSON.parse(good(await stack.plinth('inspect', name, '--json')).stdout) as {
    config: { dataVolume: string };
    storageNode: string;
  };
  const runs = new Map<string, { first: number; last: number; ticks: number }>();
  for (const line of readFileSync(
    join(stack.home, 'storage', storageNode, 'volumes', config.dataVolume, 'data/ticks'),
    'utf8',
  )
    .trim()
    .split('\n')) {
    const [up = '', run = ''] = line.split(' ');
    const known = runs.get(run) ?? { first: Number(up), last: 0, ticks: 0 };
    runs.set(run, { first: known.first, last: Number(up), ticks: known.ticks + 1 });
  }
  return [...runs.values()].sort((a, b) => a.first - b.first);
}
async function expectNoOverlap(): Promise<void> {
  for (const { name } of await ps()) {
    const runs = await runsOf(name);
    runs.forEach((run, index) => expect(run.last).toBeLessThanOrEqual(runs[index + 1]?.first ?? Infinity));
  }
}

function processesOf(host: string): { readonly guard: readonly number[]; readonly containers: readonly number[] } {
  const lines = execFileSync('ps', ['-eo', 'pid,ppid,args'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const below = join(stack.home, 'hosts', host);
  const of = (program: string): number[] =>
    lines
      .filter(
        ([, , ...words]) =>
          words.join(' ').includes(program) && words.some((word) => word === below || word.startsWith(`${below}/`)),
      )
      .map(([pid]) => Number(pid));
  const monitors = of('conmon');
  const inits = lines.filter(([, parent]) => monitors.includes(Number(parent))).map(([pid]) => Number(pid));
  return { guard: of('lease-guard.js'), containers: [...monitors, ...inits] };
}

beforeAll(async () => {
  await stack.up(2);
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  const recipe = join(stack.home, 'recipe.yaml');
  writeFileSync(
    recipe,
    `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\ncommand: ${WRITER}\n`,
  );
  good(await stack.plinth('image', 'build', recipe));
  good(await stack.plinth('image', 'promote', 'tiny@v1'));
  good(await stack.plinth('image', 'activate', 'tiny@v1'));
  for (let index = 0; index < COUNT; index++) good(await stack.plinth('run', '--name', `c-${index}`));
});
afterAll(async () => {
  await stack.down();
});

describe('a host', () => {
  it('that is drained has its containers moved with their data, one run after the other', async () => {
    const before = (await ps()).filter(({ host }) => host === 'host-1').length;
    expect(before).toBeGreaterThan(0);
    const ran = good(await stack.plinth('host', 'drain', 'host-1'));
    expect(ran.stdout).toContain('nothing is left on host-1');
    await allRunOff('host-1');
    expect(processesOf('host-1').containers).toEqual([]);
    expect(
      stack.facts.filter(({ subject, data }) => subject === 'container.moved' && data['from'] === 'host-1'),
    ).toHaveLength(before);
    await expectNoOverlap();
    expect((await stack.plinth('hosts')).stdout).toMatch(/host-1 +ready, cordoned/);
    good(await stack.plinth('host', 'uncordon', 'host-1'));
  });

  it('whose agent is silent keeps its containers: the guard renews the lease', async () => {
    const before = await ps();
    const agent = stack.pidOf('host-agent-host-2');
    process.kill(agent, 'SIGSTOP');
    await stack.fact(({ subject, data }) => subject === 'host.lost' && data['host'] === 'host-2');
    expect((await ps()).every(({ state, pid }) => state === 'lost' && existsSync(`/proc/${pid}/exe`))).toBe(true);
    process.kill(agent, 'SIGCONT');
    await stack.fact(({ subject, data }) => subject === 'host.recovered' && data['host'] === 'host-2');
    await until(async () => (await ps()).every(({ state }) => state === 'running'), 'all run again');
    expect((await ps()).map(({ name, pid, host }) => ({ name, pid, host }))).toEqual(
      before.map(({ name, pid, host }) => ({ name, pid, host })),
    );
  });

  it('that dies has its containers started elsewhere when its lease has run out, once; back again it leaves them there', async () => {
    const { guard, containers } = processesOf('host-2');
    expect(guard).toHaveLength(1);
    const began = Date.now();
    for (const pid of [stack.pidOf('host-agent-host-2'), ...guard, ...containers]) process.kill(pid, 'SIGKILL');
    const rows = await allRunOff('host-2', 120);
    process.stdout.write(`a dead host's containers ran elsewhere after ${Math.round((Date.now() - began) / 1000)} s\n`);
    await stack.up(2);
    await stack.fact(
      ({ subject, data }) =>
        subject === 'host.recovered' &&
        data['host'] === 'host-2' &&
        stack.facts.some((fact) => fact.subject === 'container.moved' && fact.data['from'] === 'host-2'),
    );
    await until(async () => (await stack.plinth('status')).code === 0, 'all is well');
    expect(processesOf('host-2').containers).toEqual([]);
    expect((await ps()).map(({ name, host, state }) => ({ name, host, state }))).toEqual(
      rows.map(({ name }) => ({ name, host: 'host-1', state: 'running' })),
    );
    await expectNoOverlap();
  });

  it('leaves nothing after down', async () => {
    const ran = await stack.down();
    expect(ran.code).toBe(0);
    const lines = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
    expect(lines.filter((line) => line.includes(stack.home))).toEqual([]);
  });
});
