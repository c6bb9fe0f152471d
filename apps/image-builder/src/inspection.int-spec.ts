/** Inspection and retirement of images, on the compiled service. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type ImageDiff, type ImagePlan, QUERIES, type QueryReply, SUBJECTS } from '@plinth/contracts';
import { BuilderSuite } from './testing/builder-suite.js';

const suite = BuilderSuite.install();

const status = (packages: readonly [string, string][]): string =>
  JSON.stringify(
    packages
      .map(
        ([name, version]) =>
          `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: ${version}\n`,
      )
      .join('\n'),
  );
const ask = async <T>(subject: string, body: object): Promise<QueryReply<T>> =>
  (await suite.connection.request(subject, JSON.stringify(body), { timeout: 60_000 })).json();
async function answer<T>(subject: string, body: object): Promise<T> {
  const reply = await ask<T>(subject, body);
  if (!reply.ok) throw new Error(`${reply.reason}: ${reply.message}`);
  return reply.data;
}
const download = async (url: string): Promise<number> =>
  (await fetch(url, { headers: { authorization: `Bearer ${suite.token}` } })).status;
const promote = async (image: string): Promise<void> =>
  void (await suite.answer(await suite.ask(SUBJECTS.imagePromotionRequested, { image }), [SUBJECTS.imagePromoted]));
const retire = (image: string): Promise<string> =>
  suite.ask(SUBJECTS.imageRetired, { name: image.split('@')[0], version: image.split('@')[1] });
async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await what()); await new Promise((resolve) => setTimeout(resolve, 20)))
    if (Date.now() > end) throw new Error(`did not come: ${what.toString()}`);
}

describe('inspection of images', () => {
  it('shows what differs between two: packages, files, settings; a name is its newest', async () => {
    await suite.shared();
    const name = suite.newName();
    const dpkg = (packages: readonly [string, string][]): string =>
      `{ path: /var/lib/dpkg/status, content: ${status(packages)} }`;
    const hundred = Array.from({ length: 100 }, (_, index) => `{ path: /usr/share/many/${index}, content: x }`).join(
      ', ',
    );
    await suite.tested(
      await suite.build(
        suite.recipe(
          name,
          `files: [${dpkg([
            ['bash', '1'],
            ['old', '1'],
          ])}, { path: /etc/motd, content: one }]\n`,
        ),
      ),
    );
    await suite.tested(
      await suite.build(
        suite.recipe(
          name,
          `files: [${dpkg([
            ['bash', '2'],
            ['new', '1'],
          ])}, { path: /etc/motd, content: three }, ${hundred}]\ntimezone: Etc/UTC\nenv: { A: b }\n`,
        ),
      ),
    );
    const diff = await answer<ImageDiff>(QUERIES.imageDiff, { from: `${name}@v1`, to: name });
    expect(diff.to.image).toBe(`${name}@v2`);
    expect(diff.packages).toEqual({
      unknownOf: [],
      added: { items: [{ name: 'new', architecture: 'amd64', from: null, to: '1' }], total: 1 },
      removed: { items: [{ name: 'old', architecture: 'amd64', from: '1', to: null }], total: 1 },
      changed: { items: [{ name: 'bash', architecture: 'amd64', from: '1', to: '2' }], total: 1 },
    });
    // With the two directories above the hundred.
    expect(diff.files).toMatchObject({ added: 102, removed: 0 });
    expect(diff.etc.items).toContainEqual({
      path: '/etc/motd',
      change: 'changed',
      aspects: ['content'],
      fromBytes: 3,
      toBytes: 5,
    });
    expect(diff.settings).toEqual([{ what: 'time zone', from: 'UTC', to: 'Etc/UTC' }]);
    expect(diff.environment.items).toEqual([{ name: 'A', from: null, to: 'b' }]);
    const paths: string[] = [];
    for (let cursor: string | undefined = '0'; cursor !== undefined;) {
      const page: ImageDiff = await answer(QUERIES.imageDiff, { from: `${name}@v1`, to: name, limit: 40, cursor });
      paths.push(...page.files.items.map(({ path }) => path));
      cursor = page.files.next;
    }
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths).toHaveLength(diff.files.added + diff.files.removed + diff.files.changed);
    expect(await ask(QUERIES.imageDiff, { from: `${name}@v1`, to: `${name}@v9` })).toMatchObject({
      ok: false,
      reason: 'image-not-found',
    });
    expect(await ask(QUERIES.imageDiff, { from: '../x', to: name })).toMatchObject({
      ok: false,
      reason: 'invalid-request',
    });
  });

  it('shows what a start would mount, and refuses a config that is none', async () => {
    await suite.shared();
    const name = suite.newName();
    await suite.tested(
      await suite.build(
        suite.recipe(name, 'writable: [{ path: /etc, size: 3M }, { path: /tmp, size: 7M, content: empty }]\n'),
      ),
    );
    const plan = await answer<ImagePlan>(QUERIES.imagePlan, { image: name });
    expect(plan.mounts.find(({ destination }) => destination === '/tmp')).toMatchObject({
      type: 'tmpfs',
      bytes: 7 * 1024 ** 2,
    });
    expect(await ask(QUERIES.imagePlan, { image: name, config: { containerId: '../..' } })).toMatchObject({
      ok: false,
      reason: 'invalid-request',
    });
  });
});

describe('a retired version', () => {
  it('has no files any more, can not be used for anything, and its number is not assigned again', async () => {
    const builder = await suite.shared();
    const name = suite.newName();
    await suite.tested(await suite.build(suite.recipe(name)));
    await promote(`${name}@v1`);
    expect(await download(`${suite.downloadsOf(builder)}/images/${name}/v1/manifest.json`)).toBe(200);
    await retire(`${name}@v1`);
    await until(() => !existsSync(suite.repository('production', name, 'v1')));
    await until(
      async () => (await answer<{ state: string }>(QUERIES.build, { image: `${name}@v1` })).state === 'retired',
    );
    expect(await download(`${suite.downloadsOf(builder)}/images/${name}/v1/manifest.json`)).toBe(404);
    for (const [subject, more] of [
      [SUBJECTS.imagePromotionRequested, {}],
      [SUBJECTS.imageRevocationRequested, { reason: 'x' }],
    ] as const) {
      expect(await suite.rejected(await suite.ask(subject, { image: `${name}@v1`, ...more }))).toMatchObject({
        reason: 'retired',
      });
    }
    expect(await suite.rejected(await suite.build(`name: ${suite.newName()}\nfrom: ${name}@v1\n`))).toMatchObject({
      reason: 'retired',
    });
    expect(await ask(QUERIES.imageDiff, { from: `${name}@v1`, to: `${name}@v1` })).toMatchObject({
      ok: false,
      reason: 'retired',
    });
    await retire(`${name}@v1`);
    await retire('unknown@v1');
    expect((await suite.tested(await suite.build(suite.recipe(name)))).data['version']).toBe('v2');
    suite.expectNothingLeft();
  });

  it('loses its files at the next start when the process died before', async () => {
    const builder = await suite.start();
    const name = suite.newName();
    await suite.tested(await suite.build(suite.recipe(name)));
    await promote(`${name}@v1`);
    await retire(`${name}@v1`);
    await until(() => !existsSync(suite.repository('production', name, 'v1')));
    await until(
      async () => (await answer<{ state: string }>(QUERIES.build, { image: `${name}@v1` })).state === 'retired',
    );
    await builder.end('SIGKILL');
    // The states after a process died once the catalogue was written, and after one died while it deleted.
    mkdirSync(suite.repository('production', name, 'v1'), { recursive: true });
    writeFileSync(suite.repository('production', name, 'v1', 'manifest.json'), '{}');
    mkdirSync(`${suite.builderDirectory}/work/builder-1/retired-x`, { recursive: true });
    await suite.start();
    expect(readdirSync(suite.repository('production', name))).toEqual([]);
    suite.expectNothingLeft();
  });
});
