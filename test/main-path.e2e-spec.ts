/**
 * The main path on real parts, from outside: a recipe becomes a running container, bad input is answered, nothing is
 * left.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expressions, metricNames } from './observability-files.js';
import { runExample } from './readme-examples.js';
import { containerCgroups, containerOf, type Fact, INSTALLATION, mountLines, Stack } from './stack.js';

const stack = new Stack(INSTALLATION, 'new');
/** Other stacks may be on the machine, and come and go. */
const ownMounts = (): string[] => mountLines().filter((line) => line.includes(stack.home));
const recipe = resolve(import.meta.dirname, '../recipes/debian-12.yaml');

const about = (subject: string, name: string) => (fact: Fact) => fact.subject === subject && fact.data.name === name;
const json = <T>(text: string): T => JSON.parse(text) as T;

beforeAll(async () => {
  await stack.up();
});
afterAll(async () => {
  await stack.down();
});

describe('an image', () => {
  it('is built, tested, promoted, distributed to both storage nodes and activated', async () => {
    const built = await stack.plinth('image', 'build', recipe, '--json');
    expect(built.stderr).not.toContain('rejected');
    expect(json<{ ref: string }>(built.stdout).ref).toBe('debian-12@v1');
    expect((await stack.plinth('image', 'promote', 'debian-12@v1')).code).toBe(0);
    expect((await stack.plinth('image', 'activate', 'debian-12@v1')).code).toBe(0);
    for (const node of ['sn-1', 'sn-2']) {
      expect(existsSync(join(stack.home, 'storage', node, 'images/debian-12/v1/root/usr/bin/bash'))).toBe(true);
    }
  });

  it('is refused with every error and its path when the recipe is wrong', async () => {
    await stack.jetstream().publish(
      'image.requested',
      JSON.stringify({
        recipe:
          'name: Bad Name\nfrom: {mmdebstrap: {suite: bookworm}}\nbogus: 1\nwritable: [{path: relative, size: -1}]\n',
      }),
    );
    const { data } = await stack.fact(
      ({ subject, data: body }) => subject === 'image.rejected' && body.reason === 'invalid-recipe',
    );
    const paths = (data.problems as { path: string }[]).map((problem) => problem.path);
    expect(paths).toEqual(expect.arrayContaining(['name', 'bogus']));
    expect(paths.length).toBeGreaterThanOrEqual(4);
  });

  it('can not be activated, promoted or revoked when there is none', async () => {
    for (const args of [
      ['activate', 'debian-12@v77'],
      ['promote', 'debian-12@v77'],
      ['revoke', 'debian-12@v77', '--reason', 'x'],
    ]) {
      const ran = await stack.plinth('image', ...args);
      expect(ran.code).toBe(1);
      expect(ran.stderr).toContain('image-not-found');
    }
  });
});

describe('a container', () => {
  it('is started by a bare message without headers, and the fact is complete', async () => {
    await stack.jetstream().publish('container.requested', '{"name":"shop-1"}');
    const { data } = await stack.fact(about('container.started', 'shop-1'));
    expect(data).toMatchObject({ tenant: 'default', image: 'debian-12@v1', generation: 1, restarts: 0 });
    expect(Object.keys(data.phases as object)).toEqual(
      expect.arrayContaining(['decide', 'deliver', 'premount', 'mount', 'runtime']),
    );
    expect(existsSync(`/proc/${String(data.pid)}`)).toBe(true);
  });

  it('gets the default image with the reason when the asked one is unknown, and a refusal when strict', async () => {
    await stack.jetstream().publish('container.requested', '{"name":"shop-2","image":"debian-12@v9"}');
    const { data } = await stack.fact(about('container.started', 'shop-2'));
    expect(data).toMatchObject({
      image: 'debian-12@v1',
      imageAsked: 'debian-12@v9',
      fallbackReason: 'unknown-version',
    });
    const strict = await stack.plinth('run', 'debian-12@v9', '--strict', '--name', 'shop-3');
    expect(strict.code).toBe(1);
    expect(strict.stderr).toContain('image-unavailable');
  });

  it('has a read-only root, an /etc that forgets and a /data that keeps', async () => {
    const sh = (script: string) => stack.plinth('exec', 'shop-1', '--', '/bin/sh', '-c', script);
    expect((await sh('touch /usr/x')).code).not.toBe(0);
    expect((await sh('echo changed > /etc/motd && echo kept > /data/note')).code).toBe(0);
    expect((await stack.plinth('restart', 'shop-1')).code).toBe(0);
    expect((await sh('cat /etc/motd')).stdout).not.toContain('changed');
    expect((await sh('cat /data/note')).stdout).toBe('kept\n');
  });

  it('passes an exit code, environment, time zone and software on', async () => {
    const run = await stack.plinth(
      'run',
      '--name',
      'web',
      '--sw',
      'hello-web',
      '--env',
      'GREETING=hi there',
      '--tz',
      'Asia/Tokyo',
      '--json',
      '--',
      '/usr/bin/perl',
      '/sw/serve.pl',
    );
    expect(run.stderr).toBe('');
    const seen = await stack.plinth(
      'exec',
      'web',
      '--',
      '/bin/sh',
      '-c',
      'echo "$(tr "\\0" "\\n" </proc/1/environ | grep GREETING) $(date +%Z)"; exit 7',
    );
    expect(seen.stdout).toBe('GREETING=hi there JST\n');
    expect(seen.code).toBe(7);
  });

  it('is one container when its request comes twice with one id, and a refusal when the body differs', async () => {
    for (const body of ['{"name":"once"}', '{"name":"once"}', '{"name":"other"}']) {
      // Straight past the bus's own de-duplication: the event id is the cloud event's.
      const { headers } = await import('nats');
      const own = headers();
      own.set('ce-id', 'request-4711');
      await stack.jetstream().publish('container.requested', body, { headers: own });
    }
    await stack.fact(about('container.started', 'once'));
    await stack.fact(({ subject, data }) => subject === 'container.rejected' && data.reason === 'request-id-reused');
    const rows = json<{ name: string }[]>((await stack.plinth('ps', '--json')).stdout);
    expect(rows.filter((row) => row.name === 'once')).toHaveLength(1);
    expect(rows.filter((row) => row.name === 'other')).toHaveLength(0);
  });

  it('can not take the name of another', async () => {
    const ran = await stack.plinth('run', '--name', 'once');
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('name-taken');
  });
});

describe('bad input', () => {
  const bodies: readonly [string, string | Uint8Array][] = [
    ['empty', ''],
    ['not JSON', 'nonsense'],
    ['not UTF-8', new Uint8Array([0xff, 0xfe, 0x7b])],
    ['a list', '[1,2]'],
    ['null', 'null'],
    ['deep nesting', `{"env":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`],
    ['a prototype key', '{"__proto__":{"a":1}}'],
    ['an unknown field', '{"bogus":1}'],
    ['an empty name', '{"name":""}'],
    ['a path as a name', '{"name":"../../etc"}'],
    ['a name of the wrong type', '{"name":{"a":1}}'],
    ['an image with dots and spaces', '{"image":"debian 12.1"}'],
    ['a line break in the environment', '{"env":{"A":"b\\nLD_PRELOAD=x"}}'],
    ['a negative size', '{"limits":{"memoryBytes":-1}}'],
    ['a fraction of bytes', '{"limits":{"memoryBytes":4194304.5}}'],
    ['a time zone that does not exist', '{"timezone":"Mars/Olympus"}'],
    ['a time zone that is a path', '{"timezone":"../../etc/shadow"}'],
    ['software outside of the repository', '{"software":"../../../etc"}'],
    ['a command that is a string', '{"command":"rm -rf /"}'],
    ['almost a megabyte', `{"name":"${'a'.repeat(1_000_000)}"}`],
  ];
  it.each(bodies)('%s gets one clear answer', async (_what, body) => {
    const before = stack.facts.length;
    await stack.jetstream().publish('container.requested', body);
    const answer = await stack.fact(
      (fact) => fact.subject === 'container.rejected' && stack.facts.indexOf(fact) >= before,
    );
    expect(answer.data.reason).toBe('invalid-request');
    expect(String(answer.data.message).length).toBeGreaterThan(20);
  });

  it('does not keep the next good request from working', async () => {
    const ran = await stack.plinth('run', '--name', 'after-the-bad', '--', '/bin/sleep', '1000');
    expect(ran.stderr).toBe('');
    expect(ran.code).toBe(0);
  });

  it('in a command line ends with a sentence and a code', async () => {
    expect((await stack.plinth('run', '--memory', 'lots')).code).toBe(2);
    expect((await stack.plinth('no-such-command')).code).toBe(2);
    expect((await stack.plinth('stop', 'nosuch')).stderr).toContain('no container nosuch');
  });
});

describe('a kill -9', () => {
  it('of the host agents leaves the containers running, and the next agents take them over', async () => {
    const pids = async () =>
      json<{ name: string; pid: number; state: string }[]>((await stack.plinth('ps', '--json')).stdout)
        .filter((row) => row.state === 'running')
        .map((row) => [row.name, row.pid]);
    const before = await pids();
    for (const id of ['host-agent-host-1', 'host-agent-host-2']) process.kill(stack.pidOf(id), 'SIGKILL');
    for (const [, pid] of before) expect(existsSync(`/proc/${pid}`)).toBe(true);
    await stack.up();
    const ran = await stack.plinth('run', '--name', 'after-the-agents');
    expect(ran.code).toBe(0);
    expect((await pids()).filter(([name]) => name !== 'after-the-agents')).toEqual(before);
  });

  it('of the provisioner loses no request', async () => {
    process.kill(stack.pidOf('provisioner-1'), 'SIGKILL');
    for (let index = 0; index < 5; index++)
      await stack.jetstream().publish('container.requested', JSON.stringify({ name: `while-away-${index}` }));
    await stack.up();
    for (let index = 0; index < 5; index++) await stack.fact(about('container.started', `while-away-${index}`));
  });
});

describe('the host', () => {
  it('sees no mount of any container, however many run', () => {
    expect(ownMounts()).toEqual([]);
    const ours = new Set(stack.facts.map(({ data }) => String(data.containerId)));
    expect(containerCgroups().filter((path) => ours.has(containerOf(path))).length).toBeGreaterThan(0);
  });

  it('leaves log lines with one id in each service that worked on its request', async () => {
    const requestId = 'followed-by-this-id';
    expect((await stack.plinth('run', '--name', 'followed', '--request-id', requestId)).code).toBe(0);
    const read = (): { service: string; correlationId: string; subject: string; containerId: string }[] =>
      stack.file().services.flatMap(({ name, logFile }) =>
        readFileSync(logFile, 'utf8')
          .split('\n')
          .slice(0, -1)
          .filter((line) => line.includes(requestId) && line.startsWith('{'))
          .map((line) => ({
            ...json<{ correlationId: string; subject: string; containerId: string }>(line),
            service: name,
          })),
      );
    // A line is written after what it is about was published: the command may have ended by then.
    for (const end = Date.now() + 20_000; Date.now() < end; await pause(100))
      if (read().some(({ subject }) => subject === 'container.started')) break;
    const lines = read();
    expect(new Set(lines.map(({ correlationId }) => correlationId))).toEqual(new Set([requestId]));
    expect(lines).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ service: 'provisioner', subject: 'container.configured' }),
        expect.objectContaining({ service: 'host-agent', subject: expect.stringMatching(/^report\.host\./) }),
        expect.objectContaining({ service: 'provisioner', subject: 'container.started' }),
      ]),
    );
    expect(new Set(lines.map(({ containerId }) => containerId)).size).toBe(1);
  });

  it('loses a removed container and its data', async () => {
    const { id } = json<{ id: string }>((await stack.plinth('inspect', 'shop-2', '--json')).stdout);
    expect((await stack.plinth('rm', 'shop-2')).code).toBe(0);
    expect(containerCgroups().filter((path) => path.includes(id))).toEqual([]);
    expect(json<{ name: string }[]>((await stack.plinth('ps', '--json')).stdout).map((row) => row.name)).not.toContain(
      'shop-2',
    );
  });

  it.each(['ts', 'sh'] as const)('does what the example for %s of the client library shows', async (language) => {
    const { natsUrl, nkeyFile } = stack.file();
    const scratch = join(stack.home, `example-${language}`);
    const printed = await runExample(language, { installation: INSTALLATION, natsUrl, nkeyFile, scratch });
    expect(printed).toContain(`example-${language}`);
    await stack.fact(about('container.removed', `example-${language}`));
  });

  it('has every metric that the rules and the dashboard use, and none with an id', async () => {
    const services = stack.file().services.filter(({ health }) => health?.endsWith('/health/ready'));
    const texts = await Promise.all(
      services.map(async ({ health }) => (await fetch(new URL('/metrics', health ?? ''))).text()),
    );
    const names = new Set(texts.flatMap((text) => [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)));
    const used = expressions()
      .flatMap(metricNames)
      // Of Prometheus itself, of rules, and of the console, which is not part of this stack.
      .filter((name) => name !== 'up' && !/^plinth(?::|_console_)/.test(name));
    const family = (name: string): string => name.replace(/_(?:bucket|sum|count)$/, '');
    expect([...new Set(used)].filter((name) => !names.has(name) && !names.has(family(name)))).toEqual([]);
    expect(texts.join('\n').match(/^plinth_.*[0-9a-f]{12}.*\}/gm)).toBeNull();
    expect(texts.join('\n')).toMatch(/^plinth_container_start_seconds_count\{phase="total"\} [1-9]/m);
    expect(texts.join('\n')).toMatch(/^plinth_stream_bytes\{stream="PLINTH_EVENTS"\} [1-9]/m);
  });

  it('is as it was after down', async () => {
    const pids = stack.file().services.map((service) => service.pid);
    const down = await stack.down();
    expect(down).toMatchObject({ code: 0 });
    expect(ownMounts()).toEqual([]);
    const ours = new Set(stack.facts.map(({ data }) => String(data.containerId)));
    expect(containerCgroups().filter((path) => ours.has(containerOf(path)))).toEqual([]);
    const alive = pids.filter(
      (pid) => existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '),
    );
    expect(alive).toEqual([]);
    expect(existsSync(stack.home)).toBe(false);
  });
});
