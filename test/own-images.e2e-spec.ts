/**
 * Hosts with stores of their own: from a build to a container and its update, with an image-builder as the source, and no
 * storage node that has the image.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSmallRootfs } from '@plinth/testkit';
import { containerCgroups, containerOf, type Fact, mountLines, Stack } from './stack.js';

const stack = new Stack();
const ids = new Set<string>();
const about = (subject: string, name: string, more: object = {}) => {
  const wanted = Object.entries({ name, ...more });
  return (fact: Fact): boolean => fact.subject === subject && wanted.every(([key, value]) => fact.data[key] === value);
};
const imagesOf = (directory: string, name = ''): string[] =>
  readdirSync(join(stack.home, directory, 'images', name)).toSorted();

async function plinth(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await stack.plinth(...args);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** No storage node has the label: only hosts fetch it. */
async function publish(sha256: string, text: string): Promise<void> {
  const recipe = join(stack.home, 'recipe.yaml');
  const lines = [
    'name: tiny',
    `from: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }`,
    'command: [/bin/sleep, infinity]',
    'run:',
    `  - echo ${text} > /usr/lib/text`,
  ];
  writeFileSync(recipe, `${lines.join('\n')}\n`);
  const { ref } = JSON.parse(await plinth('image', 'build', recipe, '--json')) as { ref: string };
  await plinth('image', 'promote', ref, '--to', 'nobody=yes', '--no-wait');
}

beforeAll(async () => {
  await stack.up(1, 'own');
});

afterAll(async () => {
  for (const { data } of stack.facts) if (typeof data['containerId'] === 'string') ids.add(data['containerId']);
  await stack.down();
  expect(mountLines().filter((line) => line.includes(stack.home))).toEqual([]);
  expect(containerCgroups().filter((path) => ids.has(containerOf(path)))).toEqual([]);
});

it('starts and updates a container on what its host has fetched itself, and evicts', async () => {
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  await publish(sha256, 'one');
  await plinth('run', 'tiny@v1', '--strict', '--name', 'shop');
  await stack.fact(about('container.started', 'shop', { image: 'tiny@v1' }));
  expect(await plinth('exec', 'shop', '--', '/bin/cat', '/usr/lib/text')).toBe('one\n');
  expect(imagesOf('hosts/host-1/image-store')).toEqual(['tiny']);
  expect(imagesOf('storage/sn-1')).toEqual([]);

  await publish(sha256, 'two');
  await plinth('switch', 'shop', '--to', 'tiny@v2', '--soak', '0');
  await stack.fact(about('container.updated', 'shop'));
  expect(await plinth('exec', 'shop', '--', '/bin/cat', '/usr/lib/text')).toBe('two\n');
  const log = readFileSync(join(stack.home, 'logs/host-agent-host-1.log'), 'utf8');
  const fetched = log
    .split('\n')
    .flatMap((line) => (line.includes('image fetched') ? [JSON.parse(line) as object] : []));
  expect(fetched).toEqual([
    expect.objectContaining({ image: 'tiny@v1', downloadedBytes: expect.any(Number) }),
    expect.objectContaining({ image: 'tiny@v2', deltaFrom: 'tiny@v1' }),
  ]);
  const [whole = 0, delta = 0] = fetched.map((line) => (line as { downloadedBytes: number }).downloadedBytes);
  expect(delta).toBeLessThan(whole / 20);

  await stack.fact(about('image.cached', 'tiny', { version: 'v2', host: 'host-1', deltaFrom: 'tiny@v1' }));
  await plinth('cache', 'evict', 'tiny@v1');
  await stack.fact(about('image.evicted', 'tiny', { version: 'v1', host: 'host-1' }));
  expect(imagesOf('hosts/host-1/image-store', 'tiny')).toEqual(['v2']);
});
