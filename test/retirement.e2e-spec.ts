/**
 * The later life of images, on real parts and from outside: compared, planned, needed, retired, gone from everywhere.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSmallRootfs } from '@plinth/testkit';
import { type Ran, Stack } from './stack.js';

const stack = new Stack();
const NODES = ['sn-1', 'sn-2'];
const IDLE = 'command: [/bin/sleep, infinity]\n';
const DPKG = JSON.stringify(
  'Package: busybox\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.35.0-4\n',
);

const good = (ran: Ran): Ran => {
  expect(`${ran.stderr}${ran.code}`.endsWith('0')).toBe(true);
  return ran;
};
const json = <T>(ran: Ran): T => JSON.parse(ran.stdout) as T;
const master = (node: string, version: string): string => join(stack.home, 'storage', node, 'images/tiny', version);
const archives = (version: string): string[] => {
  const directory = join(stack.home, 'repository/production/tiny', version);
  return existsSync(directory) ? readdirSync(directory) : [];
};

let recipe: (more: string) => string;

async function build(more: string): Promise<string> {
  const path = join(stack.home, 'recipe.yaml');
  writeFileSync(path, recipe(more));
  return json<{ ref: string }>(good(await stack.plinth('image', 'build', path, '--json'))).ref;
}

beforeAll(async () => {
  await stack.up();
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  recipe = (more) => `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\n${more}`;
  expect(await build(`${IDLE}files: [{ path: /etc/motd, content: one }]\n`)).toBe('tiny@v1');
  expect(
    await build(
      `${IDLE}env: { A: b }\n` +
        `files: [{ path: /etc/motd, content: three }, { path: /var/lib/dpkg/status, content: ${DPKG} }]\n`,
    ),
  ).toBe('tiny@v2');
  for (const ref of ['tiny@v1', 'tiny@v2']) good(await stack.plinth('image', 'promote', ref));
  good(await stack.plinth('image', 'activate', 'tiny@v2'));
});
afterAll(async () => {
  await stack.down();
});

describe('two versions', () => {
  it('are compared, for people and for programs', async () => {
    const text = good(await stack.plinth('image', 'diff', 'tiny@v1', 'tiny')).stdout;
    expect(text).toMatch(/~ {2}\/etc\/motd +content +3 B +5 B/);
    expect(text).toMatch(/packages: 1 added, 0 removed, 0 changed\n.*\nbusybox +amd64 +- +1:1\.35\.0-4/);
    expect(text).toMatch(/env A +- +b/);
    const diff = json<{
      files: { items: { path: string }[]; leftOut: number; added: number; removed: number; changed: number };
    }>(await stack.plinth('image', 'diff', 'tiny@v1', 'tiny@v2', '--files', '--json'));
    expect(diff.files.leftOut).toBe(0);
    const paths = diff.files.items.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(['/etc/motd', '/var/lib/dpkg/status']));
    expect(paths).toHaveLength(diff.files.added + diff.files.removed + diff.files.changed);
    const unknown = await stack.plinth('image', 'diff', 'tiny@v1', 'tiny@v77');
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('no finished image tiny@v77')]);
  });
});

describe('a plan', () => {
  it('has the mounts that the kernel then shows, in their order', async () => {
    good(await stack.plinth('run', 'tiny@v1', '--name', 'planned', '--env', 'GREETING=hi'));
    const plan = json<{ container: string; environment: string[]; mounts: { destination: string; type: string }[] }>(
      good(await stack.plinth('image', 'plan', 'tiny@v1', '--container', 'planned', '--json')),
    );
    const { pid } = json<{ pid: number }>(await stack.plinth('inspect', 'planned', '--json'));
    // mountinfo: id, parent, device, root, mount point, options, tags, -, type
    const real = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .trim()
      .split('\n')
      .map((line) => `${line.split(' ')[4]} ${line.split(' - ')[1]?.split(' ')[0]}`);
    const planned = plan.mounts
      .map(({ destination, type }) => `${destination} ${type}`)
      .filter((line) => !line.endsWith(' bind'));
    expect(real.filter((line) => planned.includes(line))).toEqual(planned);
    expect(real.map((line) => line.split(' ')[0])).toContain('/data');
    expect(plan).toMatchObject({ container: 'planned', environment: expect.arrayContaining(['GREETING=hi']) });
    expect(good(await stack.plinth('image', 'plan', 'tiny')).stdout).toMatch(/\/etc +overlay/);
  });
});

describe('a version', () => {
  it('is not retired while a container is on it, or as the default', async () => {
    const refused = await stack.plinth('image', 'retire', 'tiny@v1');
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/\(in-use\).*1 container on it \(planned\)/),
    ]);
    expect((await stack.plinth('image', 'retire', 'tiny@v2')).stderr).toContain('default-image');
    expect((await stack.plinth('image', 'retire', 'tiny@v9')).stderr).toContain('image-not-found');
    const radius = json<{ tenants: object; containers: object[] }>(
      good(await stack.plinth('image', 'blast-radius', 'tiny@v1', '--json')),
    );
    expect(radius).toMatchObject({ tenants: { default: 1 }, containers: [{ name: 'planned', relation: 'on' }] });
    const kept = json<{ image: string; outcome: string }[]>(
      good(await stack.plinth('image', 'gc', '--keep', '1', '--json')),
    );
    expect(kept.map(({ image, outcome }) => `${image} ${outcome}`)).toEqual(['tiny@v2 kept', 'tiny@v1 kept']);
    for (const node of NODES) expect(existsSync(master(node, 'v1'))).toBe(true);
  });

  it('is collected when the container is gone, from storage nodes and repository', async () => {
    good(await stack.plinth('rm', 'planned'));
    const dry = json<{ image: string; outcome: string }[]>(
      good(await stack.plinth('image', 'gc', '--keep', '1', '--dry-run', '--json')),
    );
    expect(dry).toContainEqual(expect.objectContaining({ image: 'tiny@v1', outcome: 'would-retire' }));
    for (const node of NODES) expect(existsSync(master(node, 'v1'))).toBe(true);
    expect(archives('v1')).not.toEqual([]);
    const done = json<{ image: string; outcome: string }[]>(
      good(await stack.plinth('image', 'gc', '--keep', '1', '--json')),
    );
    expect(done).toContainEqual(expect.objectContaining({ image: 'tiny@v1', outcome: 'retired' }));
    for (
      const end = Date.now() + 120_000;
      Date.now() < end && (NODES.some((node) => existsSync(master(node, 'v1'))) || archives('v1').length > 0);
    )
      await new Promise((resolve) => setTimeout(resolve, 100));
    for (const node of NODES) {
      expect(existsSync(master(node, 'v1'))).toBe(false);
      expect(existsSync(master(node, 'v2'))).toBe(true);
    }
    expect(archives('v1')).toEqual([]);
    expect(archives('v2')).not.toEqual([]);
  });

  it('is then out of reach: for containers, promotions and new numbers', async () => {
    const ran = json<{ image: string; fallbackReason: string }>(
      good(await stack.plinth('run', 'tiny@v1', '--name', 'late', '--json')),
    );
    expect(ran).toMatchObject({ image: 'tiny@v2', fallbackReason: 'retired' });
    expect((await stack.plinth('image', 'promote', 'tiny@v1')).stderr).toContain('(retired)');
    expect((await stack.plinth('image', 'activate', 'tiny@v1')).stderr).toContain('(retired)');
    expect((await stack.plinth('image', 'diff', 'tiny@v1', 'tiny@v2')).stderr).toContain('its files are gone');
    expect(await build(IDLE)).toBe('tiny@v3');
  });

  it('is retired by name, and waited for', async () => {
    good(await stack.plinth('image', 'promote', 'tiny@v3'));
    good(await stack.plinth('image', 'retire', 'tiny@v3'));
    for (const node of NODES) expect(existsSync(master(node, 'v3'))).toBe(false);
  });
});
