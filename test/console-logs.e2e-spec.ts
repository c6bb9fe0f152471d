/**
 * Logs of containers through the console, on a real agent and a bus with access control: what hostile containers print,
 * many readers, one that stops reading, and an agent that dies while it is read.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { sealConsoleLink } from '@plinth/contracts';
import { makeSmallRootfs, ServiceProcess } from '@plinth/testkit';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Stack } from './stack.js';

/** What one container prints. */
const FLOOD_BYTES = (process.env['PLINTH_TEST_LARGE'] === undefined ? 16 : 1_024) * 1024 ** 2;
const LINE_BYTES = 1_024;
/** What a process may grow by, however much is printed. */
const MOST_GROWTH = 240 * 1024 ** 2;
const secret = randomBytes(32);
const stack = new Stack();
let service: ServiceProcess;
const cookies = new Map<string, string>();

interface Line {
  readonly stream: string;
  readonly time: string;
  readonly text: string;
}
interface Sent {
  readonly event: string;
  readonly data: { readonly items: readonly Line[]; readonly reason: string; readonly message: string };
}

beforeAll(async () => {
  await stack.up(1);
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  const recipe = join(stack.home, 'recipe.yaml');
  const rootfs = `{ path: /tiny.tar.gz, sha256: ${sha256} }`;
  writeFileSync(recipe, `name: tiny\nfrom: { rootfs: ${rootfs} }\ncommand: [/bin/sleep, infinity]\n`);
  for (const args of [
    ['build', recipe],
    ['promote', 'tiny@v1'],
    ['activate', 'tiny@v1'],
  ])
    expect(await stack.plinth('image', ...args)).toMatchObject({ code: 0 });
  const linkFile = join(stack.home, 'link-secret');
  writeFileSync(linkFile, secret, { mode: 0o600 });
  const { natsUrl, databaseUrl } = stack.file();
  service = await ServiceProcess.start('console', {
    NATS_URL: natsUrl,
    NATS_NKEY_FILE: join(stack.home, 'access/seeds/console-1.nk'),
    DATABASE_URL: databaseUrl,
    PLINTH_SERVICE_ID: 'console-1',
    PLINTH_CONSOLE_LINK_FILE: linkFile,
  });
  for (const name of ['ann', 'bob', 'cat', 'dan', 'eve']) cookies.set(name, await signedIn(name));
});
afterAll(async () => {
  await service?.end();
  await stack.down();
});

async function signedIn(user: string): Promise<string> {
  const until = Date.now() / 1_000 + 50;
  const link = sealConsoleLink(
    { id: randomBytes(16).toString('hex'), user, role: 'viewer', tenants: [], until },
    secret,
  );
  const { url } = service;
  const headers = { origin: url, 'content-type': 'application/json' };
  const answer = await fetch(`${url}/api/v1/session`, { method: 'POST', headers, body: JSON.stringify({ link }) });
  expect(answer.status).toBe(200);
  return (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
}

const headersOf = (user: string, accept = '*/*'): Record<string, string> => ({
  cookie: cookies.get(user) ?? '',
  accept,
});
const logsOf = (id: string, user: string, query = '', accept?: string): Promise<Response> =>
  fetch(`${service.url}/api/v1/containers/${id}/logs${query}`, { headers: headersOf(user, accept) });

async function run(name: string, script: string): Promise<string> {
  const ran = await stack.plinth('run', '--name', name, '--json', '--', '/bin/sh', '-c', script);
  expect(ran.code).toBe(0);
  return (JSON.parse((await stack.plinth('inspect', name, '--json')).stdout) as { id: string }).id;
}

async function* sent(response: Response): AsyncGenerator<Sent> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      if (event !== undefined) yield { event, data: JSON.parse(data ?? 'null') as Sent['data'] };
    }
  }
}

const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;

/** The first text that has it, however often one has to ask. */
async function until(id: string, user: string, text: string, query = ''): Promise<string> {
  for (;;) {
    const found = await (await logsOf(id, user, query)).text();
    if (found.includes(text)) return found;
  }
}

it('shows what a container printed as text that commands nothing, or as objects', async () => {
  const id = await run(
    'hostile',
    String.raw`printf 'plain\n\033[31mred\033[0m \033]0;title\007\r\n<b>x</b>\n\377\376\000end\n';
     awk 'BEGIN { for (i = 0; i < 1048576; i += 64) printf "%064d", 7; printf "\n"; print "err" > "/dev/stderr"; print "last" }';
     sleep infinity`,
  );
  const text = await until(id, 'ann', 'last\n');
  expect(text.slice(0, 100).split('\n').slice(0, 4)).toEqual([
    'plain',
    '\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07',
    '<b>x</b>',
    '\ufffd\ufffd\\x00end',
  ]);
  // The line of 1 MiB comes as several, and nothing of it is lost.
  expect(text.match(/^0[07]+$/gm)?.join('').length).toBe(1024 ** 2);
  // The tool answers the agent in the older way.
  expect((await stack.plinth('logs', 'hostile')).stdout.match(/^0[07]+$/gm)?.join('').length).toBe(1024 ** 2);
  const answer = await logsOf(id, 'ann', '?tail=3', 'application/x-ndjson');
  expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
  const lines = (await answer.text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  expect(lines).toHaveLength(3);
  expect(lines.at(-1)).toMatchObject({ stream: 'stdout', text: 'last' });
  expect(lines.at(-1)?.time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+/);
  for (const query of ['?tail=-1', '?tail=10001', '?tail=x', '?follow=yes', '?since=1', '?follow=constructor'])
    expect(`${query} ${(await logsOf(id, 'ann', query)).status}`).toBe(`${query} 400`);
  expect(await (await logsOf(id, 'ann', '?tail=0')).text()).toBe('');
});

it('lets twenty people read a flood, and one that stops reads nothing away from the others', async () => {
  const lines = FLOOD_BYTES / LINE_BYTES;
  const id = await run(
    'flood',
    `while [ ! -e /tmp/go ]; do sleep 0.1; done; awk 'BEGIN { while (i++ < ${lines}) printf "%${LINE_BYTES - 1}d\\n", i; print "over" }'; sleep infinity`,
  );
  const processes = { console: service.pid, agent: stack.pidOf('host-agent-host-1') };
  const before = { console: residentBytes(processes.console), agent: residentBytes(processes.agent) };
  const people = ['ann', 'bob', 'cat', 'dan'];
  const stopped = request(`${service.url}/api/v1/containers/${id}/logs?follow=true`, { headers: headersOf('ann') });
  // Nobody reads what comes.
  stopped.on('response', (response) => response.pause());
  stopped.on('error', () => undefined);
  stopped.end();
  const streams = await Promise.all(
    Array.from({ length: 19 }, (_, index) => logsOf(id, people[(index + 1) % 4] ?? '', '?follow=true')),
  );
  const status = async (user: string): Promise<number> => (await logsOf(id, user)).status;
  while ((await status('ann')) !== 429);
  expect(await Promise.all([...people, 'eve'].map(status))).toEqual([429, 429, 429, 429, 200]);
  expect((await stack.plinth('exec', 'flood', '--', '/bin/touch', '/tmp/go')).code).toBe(0);
  const ends = await Promise.all(
    streams.map(async (stream) => {
      let last = 0;
      let isOrdered = true;
      for await (const { data } of sent(stream))
        for (const { text } of data.items) {
          if (text === 'over') return isOrdered;
          isOrdered &&= Number(text) > last;
          last = Number(text);
        }
      return false;
    }),
  );
  expect(ends).toEqual(streams.map(() => true));
  const grown = {
    console: residentBytes(processes.console) - before.console,
    agent: residentBytes(processes.agent) - before.agent,
  };
  if (process.env['PLINTH_TEST_LARGE'] !== undefined) process.stdout.write(`grown by ${JSON.stringify(grown)} bytes\n`);
  expect(Math.max(grown.console, grown.agent)).toBeLessThan(MOST_GROWTH);
  expect(await until(id, 'eve', 'over\n', '?tail=1')).toBe('over\n');
  stopped.destroy();
  while ((await status('ann')) === 429);
});

it('says why it ends: the agent died, the session ended, the container went', async () => {
  const id = await run('beats', 'while sleep 0.2; do echo beat; done');
  const follow = async (user: string): Promise<() => Promise<string>> => {
    const stream = sent(await logsOf(id, user, '?follow=true'));
    expect((await stream.next()).value).toMatchObject({
      event: 'lines',
      data: { items: expect.arrayContaining([expect.objectContaining({ text: 'beat' })]) },
    });
    return async () => {
      for await (const { event, data } of stream) if (event === 'end') return data.reason;
      return 'it was not answered';
    };
  };
  const ends = await Promise.all(['ann', 'bob'].map(follow));
  process.kill(stack.pidOf('host-agent-host-1'), 'SIGKILL');
  expect(await Promise.all(ends.map((end) => end()))).toEqual(['no-answer', 'no-answer']);
  expect((await logsOf(id, 'ann')).status).toBe(502);
  await stack.restart(1);
  await until(id, 'ann', 'beat');
  const [ann, bob] = await Promise.all(['ann', 'bob'].map(follow));
  const headers = { ...headersOf('bob'), origin: service.url };
  expect((await fetch(`${service.url}/api/v1/session`, { method: 'DELETE', headers })).status).toBe(204);
  expect(await bob?.()).toBe('not-signed-in');
  expect((await stack.plinth('rm', 'beats')).code).toBe(0);
  expect(await ann?.()).toBe('container-gone');
});
