/**
 * Health checks on real parts and from outside: a process that hangs, what its restart policy makes of that, and what
 * people see.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSmallRootfs } from '@plinth/testkit';
import { containerCgroups, containerOf, type Fact, mountLines, Stack } from './stack.js';

const stack = new Stack();
const mountsBefore = mountLines();
const ids = new Set<string>();

/** Answers every request until SIGSTOP, which it can't catch, stops it. */
const SERVER = 'mkfifo /tmp/ask /tmp/answer; exec 3<>/tmp/answer; while read x; do echo ok >&3; done <>/tmp/ask';
const ASK = 'echo hello > /tmp/ask; read x < /tmp/answer';

interface Row {
  readonly id: string;
  readonly pid: number;
  readonly state: string;
  readonly health: string | null;
  readonly restarts: number;
  readonly failedChecks: readonly { readonly message: string; readonly output: string }[];
}

const about =
  (subject: string, name: string, more: Record<string, unknown> = {}) =>
  (fact: Fact) =>
    fact.subject === subject &&
    fact.data['name'] === name &&
    Object.entries(more).every(([key, value]) => fact.data[key] === value);

async function inspect(name: string): Promise<Row> {
  const row = JSON.parse((await stack.plinth('inspect', name, '--json')).stdout) as Row;
  ids.add(row.id);
  return row;
}

async function run(name: string, ...options: string[]): Promise<void> {
  const check = ['--health-cmd', ASK, '--health-interval', '300ms', '--health-timeout', '3s', '--health-retries', '2'];
  const { code, stderr } = await stack.plinth(
    'run',
    '--name',
    name,
    ...check,
    ...options,
    '--',
    '/bin/sh',
    '-c',
    SERVER,
  );
  expect(`${stderr}${code}`).toBe('0');
}

beforeAll(async () => {
  await stack.up(1);
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  const path = join(stack.home, 'recipe.yaml');
  writeFileSync(
    path,
    `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\ncommand: [/bin/sleep, infinity]\n`,
  );
  for (const args of [
    ['build', path],
    ['promote', 'tiny@v1'],
    ['activate', 'tiny@v1'],
  ])
    expect(await stack.plinth('image', ...args)).toMatchObject({ code: 0 });
});

afterAll(async () => {
  await stack.down();
  expect(mountLines().filter((line) => !mountsBefore.includes(line) && line.includes(stack.home))).toEqual([]);
  expect(containerCgroups().filter((path) => ids.has(containerOf(path)))).toEqual([]);
});

describe('a container whose process hangs', () => {
  it('becomes unhealthy, is restarted by its policy, and recovers', async () => {
    await run('hangs', '--stop-grace', '1');
    await stack.fact(about('container.healthy', 'hangs', { from: 'starting' }));
    const before = await inspect('hangs');
    expect(before).toMatchObject({ state: 'running', health: 'healthy', restarts: 0, failedChecks: [] });
    expect((await stack.plinth('ps')).stdout).toMatch(/HEALTH[^]* healthy /);
    process.kill(before.pid, 'SIGSTOP');
    const { data } = await stack.fact(about('container.unhealthy', 'hangs'));
    expect(data).toMatchObject({ willRestart: true, message: expect.stringContaining('no end within 3 s') });
    expect(stack.facts.filter(about('container.unhealthy', 'hangs'))).toHaveLength(1);
    await stack.fact(about('container.stopped', 'hangs', { cause: 'unhealthy' }));
    await stack.fact(about('container.started', 'hangs', { restarts: 1 }));
    // Each run has its own.
    for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
      if (stack.facts.filter(about('container.healthy', 'hangs')).length === 2) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const after = await inspect('hangs');
    expect(after).toMatchObject({ state: 'running', health: 'healthy', restarts: 1 });
    expect(after.pid).not.toBe(before.pid);
    expect(after.failedChecks.map(({ message }) => message)).toEqual(['no end within 3 s', 'no end within 3 s']);
  });

  it('goes on, unhealthy, when it is never to be restarted, and is healthy again when it answers', async () => {
    await run('left', '--restart', 'never');
    await stack.fact(about('container.healthy', 'left'));
    const { pid } = await inspect('left');
    process.kill(pid, 'SIGSTOP');
    const { data } = await stack.fact(about('container.unhealthy', 'left'));
    expect(data['willRestart']).toBe(false);
    expect(await inspect('left')).toMatchObject({ pid, state: 'running', health: 'unhealthy' });
    expect((await stack.plinth('inspect', 'left')).stdout).toMatch(/health +unhealthy\n[^]*FAILED CHECK/);
    process.kill(pid, 'SIGCONT');
    await stack.fact(about('container.healthy', 'left', { from: 'unhealthy' }));
    expect(await inspect('left')).toMatchObject({ pid, health: 'healthy', restarts: 0 });
  });
});
