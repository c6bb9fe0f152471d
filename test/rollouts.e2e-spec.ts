/**
 * Changing the OS under running containers, on real parts and from outside: one container, many containers, and
 * everything that can go wrong with either.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findRollout } from '@plinth/client';
import type { RolloutDetails } from '@plinth/contracts';
import { makeSmallRootfs } from '@plinth/testkit';
import { containerCgroups, containerOf, type Fact, mountLines, type Ran, Stack } from './stack.js';

const stack = new Stack();

const IDLE = '[/bin/sleep, infinity]';
/** True on hosts only: images are tested without a tenant. */
const onHost = (script: string): string =>
  `[/bin/sh, -c, '[ -z "$PLINTH_TENANT" ] || { ${script}; }; exec /bin/sleep infinity']`;
const QUICK = ['--stable', '300ms', '--soak', '300ms'];

/** What differs from version to version of the image `tiny`. */
const VERSIONS: Readonly<Record<string, string>> = {
  good: `command: ${IDLE}\nfiles: [{ path: /etc/two, content: two }]\n`,
  exits: `command: ${onHost('echo giving up; exit 3')}\n`,
  'dies-later': `command: ${onHost('/bin/sleep 2; echo dying; exit 4')}\n`,
  'spoils-data': `command: ${onHost('echo spoilt > /data/file; exit 5')}\n`,
  'fails-on-7':
    `command: [/bin/sh, -c, 'case "$PLINTH_CONTAINER_NAME" in *-7) exit 7;; esac; ` + "exec /bin/sleep infinity']\n",
};
const refs = new Map<string, string>();
const ref = (name: string): string => refs.get(name) ?? `no version ${name}`;

const good = (ran: Ran): Ran => {
  expect(`${ran.stderr}${ran.code}`.endsWith('0')).toBe(true);
  return ran;
};
const json = <T>(ran: Ran): T => JSON.parse(ran.stdout) as T;
const ps = (tenant: string) => stack.client.containers({ tenant });
const inspect = (name: string, tenant = 'default') => stack.client.container(name, tenant);
const about = (subject: string, name: string) => (fact: Fact) => fact.subject === subject && fact.data['name'] === name;

async function build(recipe: string, ...promotion: string[]): Promise<string> {
  const path = join(stack.home, 'recipe.yaml');
  writeFileSync(path, recipe);
  const { ref: built } = json<{ ref: string }>(good(await stack.plinth('image', 'build', path, '--json')));
  good(await stack.plinth('image', 'promote', built, ...promotion));
  return built;
}

async function run(name: string, ...options: string[]): Promise<void> {
  good(await stack.plinth('run', ref('base'), '--name', name, ...options));
}

async function until<T>(look: () => Promise<T | undefined | false>, what: string, seconds = 200): Promise<T> {
  for (
    const deadline = Date.now() + seconds * 1000;
    Date.now() < deadline;
    await new Promise((resolve) => setTimeout(resolve, 100))
  ) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}

async function runMany(tenant: string, count: number): Promise<void> {
  const jetstream = stack.jetstream();
  for (let index = 0; index < count; index++)
    await jetstream.publish(
      'container.requested',
      JSON.stringify({ name: `${tenant}-${index}`, tenant, image: ref('base') }),
    );
  await until(
    async () => (await ps(tenant)).filter(({ state }) => state === 'running').length === count,
    `${count} containers run`,
  );
}

const show = (id: string): Promise<RolloutDetails> => findRollout(stack.client, id);
async function start(...options: string[]): Promise<string> {
  return json<{ rolloutId: string }>(good(await stack.plinth('rollout', 'start', '--json', ...options))).rolloutId;
}
const ended = (id: string, seconds = 200): Promise<RolloutDetails> =>
  until(
    async () => {
      const found = await show(id);
      return found.endedAt !== null && found;
    },
    `rollout ${id} ends`,
    seconds,
  );
const switchesTo = (image: string, tenant: string): string[] =>
  stack.facts
    .filter(
      (fact) => fact.subject === 'container.started' && fact.data['tenant'] === tenant && fact.data['image'] === image,
    )
    .map(({ data }) => `${String(data['name'])} generation ${String(data['generation'])} pid ${String(data['pid'])}`)
    .sort();

beforeAll(async () => {
  await stack.up(3);
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  const recipe = (more: string): string =>
    `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\n${more}`;
  refs.set('base', await build(recipe(`command: ${IDLE}\n`)));
  good(await stack.plinth('image', 'activate', ref('base')));
  for (const [name, more] of Object.entries(VERSIONS)) refs.set(name, await build(recipe(more)));
  const script = readFileSync(join(stack.home, 'storage/sn-1/images/tiny/v1/mount.sh'), 'utf8').replace(
    'set -eu\n',
    'set -eu\nif [ -n "${PLINTH_SW-}" ]; then echo mounting went wrong >&2; exit 9; fi\n',
  );
  refs.set('bad-mounts', await build(recipe(`command: ${IDLE}\nmountScript: ${JSON.stringify(script)}\n`)));
  refs.set('elsewhere', await build(recipe(`command: ${IDLE}\n`), '--to', 'sn-1'));
});
afterAll(async () => {
  await stack.down();
});

it('a new version costs storage nodes what differs from the one before', () => {
  const size = (version: unknown): number =>
    Number(
      stack.facts.find(({ subject, data }) => subject === 'image.promoted' && data['version'] === version)?.data[
        'archiveBytes'
      ],
    );
  const shares = stack.facts
    .filter(({ subject, data }) => subject === 'image.distributed' && data['version'] !== 'v1')
    .map(({ data }) => Number(data['downloadedBytes']) / size(data['version']));
  expect(shares.length).toBeGreaterThan(Object.keys(VERSIONS).length);
  // Where everything is slow, a node takes the archive before the delta is made.
  expect(shares.some((share) => share < 0.1)).toBe(true);
});

describe('one container', () => {
  it('is moved, known to be good, and moved back', async () => {
    await run('moved');
    const ran = good(await stack.plinth('switch', 'moved', '--to', ref('good'), ...QUICK, '--json'));
    expect(json<{ image: string; from: string }>(ran)).toMatchObject({ image: ref('good'), from: ref('base') });
    expect((await stack.plinth('exec', 'moved', '--', '/bin/cat', '/etc/two')).stdout).toBe('two');
    expect(await inspect('moved')).toMatchObject({ image: ref('good'), state: 'running', knownGood: ref('good') });
    good(await stack.plinth('switch', 'moved', '--to', 'known-good', ...QUICK));
    expect(await inspect('moved')).toMatchObject({ image: ref('base'), state: 'running' });
    expect((await stack.plinth('exec', 'moved', '--', '/bin/cat', '/etc/two')).code).not.toBe(0);
  });

  const failures: readonly [string, string, readonly string[], readonly string[], string, RegExp][] = [
    ['whose first process ends', 'exits', [], QUICK, 'exited', /giving up/],
    ['which dies in the soak time', 'dies-later', [], ['--stable', '200ms', '--soak', '30s'], 'exited', /dying/],
    [
      'on which its health check fails',
      'good',
      [
        '--health-cmd',
        'test ! -e /etc/two || { echo not well; exit 1; }',
        '--health-interval',
        '200ms',
        '--health-retries',
        '2',
      ],
      QUICK,
      'unhealthy',
      /not well/,
    ],
    ['whose mount script fails', 'bad-mounts', ['--sw', 'hello-web'], QUICK, 'mount-script-failed', /./],
  ];
  it.each(failures)('goes back from an image %s', async (_, image, options, judged, reason, message) => {
    const name = `from-${image}`;
    await run(name, ...options);
    const ran = await stack.plinth('switch', name, '--to', ref(image), ...judged, '--json');
    expect(ran.code).toBe(1);
    const { data } = await stack.fact(about('container.reverted', name));
    expect(data).toMatchObject({ image: ref('base'), failedImage: ref(image), reason });
    expect(`${String(data['checkOutput'] ?? '')}${String(data['logTail'] ?? '')}${String(data['message'])}`).toMatch(
      message,
    );
    const after = await inspect(name);
    expect(after).toMatchObject({ image: ref('base'), state: 'running' });
    expect(existsSync(`/proc/${after.pid}`)).toBe(true);
    expect(stack.facts.filter(about('container.reverted', name))).toHaveLength(1);
  });

  it('is not touched when its storage node does not have the image', async () => {
    for (let index = 0; ; index++) {
      await run(`there-${index}`);
      if ((await inspect(`there-${index}`)).storageNode !== 'sn-2') continue;
      const before = await inspect(`there-${index}`);
      const ran = await stack.plinth('switch', `there-${index}`, '--to', ref('elsewhere'), ...QUICK);
      expect(ran.code).toBe(1);
      expect(ran.stderr).toContain('image-unavailable');
      expect(await inspect(`there-${index}`)).toMatchObject({ pid: before.pid, image: ref('base'), state: 'running' });
      return;
    }
  });

  it.each([
    ['with a copy of its data gets it back as it was', ['--snapshot-data'], 'kept'],
    ['without one keeps what the failed image wrote', [], 'spoilt'],
  ])('%s', async (_, options, content) => {
    const name = `data-${content}`;
    await run(name);
    good(await stack.plinth('exec', name, '--', '/bin/sh', '-c', 'echo kept > /data/file'));
    expect((await stack.plinth('switch', name, '--to', ref('spoils-data'), ...QUICK, ...options)).code).toBe(1);
    expect((await stack.plinth('exec', name, '--', '/bin/cat', '/data/file')).stdout.trim()).toBe(content);
    const { config } = await inspect(name);
    expect(
      existsSync(join(stack.home, 'storage', config!.storageNode, 'volumes', config!.dataVolume, 'snapshot')),
    ).toBe(false);
  });

  it('ends right when its host agent is killed while it is judged', async () => {
    await run('orphan');
    const { host } = await inspect('orphan');
    good(
      await stack.plinth(
        'switch',
        'orphan',
        '--to',
        ref('dies-later'),
        '--stable',
        '200ms',
        '--soak',
        '60s',
        '--no-wait',
      ),
    );
    await stack.fact((fact) => about('container.started', 'orphan')(fact) && fact.data['image'] === ref('dies-later'));
    process.kill(stack.pidOf(`host-agent-${host}`), 'SIGKILL');
    await stack.up(3);
    await stack.fact(about('container.reverted', 'orphan'));
    expect(await inspect('orphan')).toMatchObject({ image: ref('base'), state: 'running' });
    expect(stack.facts.filter(about('container.reverted', 'orphan'))).toHaveLength(1);
  });
});

describe('thirty containers on three hosts', () => {
  it('are moved in batches, each once, with the provisioner killed in the middle', async () => {
    await runMany('acme', 30);
    const id = await start('--select', 'tenant=acme', '--to', ref('good'), '--batch', '10', ...QUICK);
    await until(async () => (await show(id)).counts['updated']! >= 1, 'the canary is known good');
    process.kill(stack.pidOf('provisioner-1'), 'SIGKILL');
    await stack.up(3);
    expect((await ended(id)).counts).toMatchObject({ total: 30, updated: 30 });
    const switched = switchesTo(ref('good'), 'acme');
    expect(switched.map((line) => line.split(' ')[0])).toEqual((await ps('acme')).map(({ name }) => name).sort());
    expect((await ps('acme')).every(({ image, state }) => image === ref('good') && state === 'running')).toBe(true);
  });

  it('all go back when the image fails on one of them', async () => {
    const ran = await stack.plinth(
      'rollout',
      'start',
      '--select',
      'tenant=acme',
      '--to',
      ref('fails-on-7'),
      '--batch',
      '10',
      ...QUICK,
      '--wait',
      '--json',
    );
    expect(ran.code).toBe(1);
    const found = json<RolloutDetails>(ran);
    expect(found.state).toBe('reverted');
    expect(found.counts).toMatchObject({ total: 30, updated: 0 });
    expect(found.members.filter(({ phase }) => phase === 'failed').map(({ name }) => name)).toContain('acme-7');
    await until(
      async () => (await ps('acme')).every(({ image, state }) => image === ref('good') && state === 'running'),
      'all run as before',
    );
    expect(
      stack.facts.filter((fact) => fact.subject === 'rollout.halted' && fact.data['rolloutId'] === found.id),
    ).toHaveLength(1);
  });

  it('can be paused, resumed, aborted and taken back', async () => {
    // One at a time, so that it lasts longer than the few commands given meanwhile.
    const id = await start('--select', 'tenant=acme', '--to', ref('base'), '--batch', '1', ...QUICK);
    good(await stack.plinth('rollout', 'pause', id));
    const paused = await until(async () => {
      const found = await show(id);
      return found.counts['switching'] === 0 && found.wait !== null && found;
    }, 'nothing is in progress');
    expect(paused).toMatchObject({ state: 'paused', wait: { reason: 'paused-by-person' } });
    good(await stack.plinth('rollout', 'resume', id));
    await until(async () => (await show(id)).counts['updated']! > paused.counts['updated']!, 'it goes on');
    good(await stack.plinth('rollout', 'abort', id));
    const aborted = await ended(id);
    expect(aborted.state).toBe('aborted');
    expect(aborted.counts['pending']).toBeGreaterThan(0);
    expect((await stack.plinth('rollout', 'resume', id)).stderr).toContain('wrong-state');
    good(await stack.plinth('rollout', 'revert', id));
    await until(async () => (await show(id)).state === 'reverted', 'it is reverted');
    expect((await ps('acme')).every(({ image }) => image === ref('good'))).toBe(true);
  });

  it('go on without a host that is killed, which follows when it is back', async () => {
    const lost = 'host-3';
    const there = (await ps('acme')).filter(({ host }) => host === lost).map(({ name }) => name);
    expect(there.length).toBeGreaterThan(0);
    const id = await start(
      '--select',
      'tenant=acme',
      '--to',
      ref('base'),
      '--canary',
      '0',
      '--batch',
      '30',
      '--stable',
      '300ms',
      '--soak',
      '5s',
      '--deadline',
      '60s',
    );
    await until(async () => (await show(id)).counts['switching'] === 30, 'all are being judged');
    process.kill(stack.pidOf(`host-agent-${lost}`), 'SIGKILL');
    const found = await ended(id, 120);
    expect(found.state).toBe('completed');
    expect(found.counts).toMatchObject({ updated: 30 - there.length, skipped: there.length });
    expect(found.members.filter(({ phase }) => phase === 'skipped').every(({ reason }) => reason === 'host-lost')).toBe(
      true,
    );
    await stack.up(3);
    const behind = async () => (await show(id)).members.filter(({ phase }) => phase !== 'updated');
    await until(async () => (await behind()).length === 0, 'the host has followed').catch(async (error: unknown) => {
      throw new Error(JSON.stringify(await behind()), { cause: error });
    });
    await until(
      async () => (await ps('acme')).every(({ image, state }) => image === ref('base') && state === 'running'),
      'all run',
    );
  });

  it('leave a revoked image, and nothing new starts on it', async () => {
    good(
      await stack.plinth(
        'rollout',
        'start',
        '--select',
        'tenant=acme',
        '--to',
        ref('good'),
        '--canary',
        '0',
        '--batch',
        '100%',
        ...QUICK,
        '--wait',
      ),
    );
    good(await stack.plinth('image', 'revoke', ref('good'), '--reason', 'a test'));
    good(
      await stack.plinth(
        'rollout',
        'start',
        '--select',
        `image=${ref('good')}`,
        '--to',
        'known-good',
        '--canary',
        '0',
        '--batch',
        '100%',
        ...QUICK,
        '--wait',
      ),
    );
    expect((await ps('acme')).every(({ image }) => image === ref('base'))).toBe(true);
    const refused = await stack.plinth('switch', 'acme-0', '--tenant', 'acme', '--to', ref('good'), ...QUICK);
    expect(refused.stderr).toContain('image-unavailable');
    expect((await stack.plinth('run', ref('good'), '--strict', '--name', 'late')).code).toBe(1);
  });
});

describe('a container that follows the default', () => {
  it('moves when another default is activated; others stay', async () => {
    good(await stack.plinth('run', '--name', 'follower', '--tenant', 'f', '--follow', 'default'));
    good(await stack.plinth('run', '--name', 'stayer', '--tenant', 'f'));
    good(await stack.plinth('image', 'activate', ref('fails-on-7')));
    await until(async () => (await inspect('follower', 'f')).image === ref('fails-on-7'), 'it follows');
    expect((await inspect('stayer', 'f')).image).toBe(ref('base'));
  });
});

describe('the host', () => {
  it('is as it was after down', async () => {
    const down = await stack.down();
    expect(down.code).toBe(0);
    expect(mountLines().filter((line) => line.includes(stack.home))).toEqual([]);
    const ours = new Set(stack.facts.map(({ data }) => String(data['containerId'])));
    expect(containerCgroups().filter((path) => ours.has(containerOf(path)))).toEqual([]);
  });
});
