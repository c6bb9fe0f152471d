/** From the testing repository to storage nodes. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { archiveFileName, type ImageManifest, QUERIES, type SignedStatement, SUBJECTS } from '@plinth/contracts';
import { DELTA_FILES, deltaBytes, type DeltaIndex, parseDeltaIndex, planDelta } from '@plinth/image-delta';
import { BuilderSuite } from './testing/builder-suite.js';

const suite = BuilderSuite.install();

describe('promotion and revocation', () => {
  const promote = (image: string, to?: string[]): Promise<string> =>
    suite.ask(SUBJECTS.imagePromotionRequested, { image, to });

  it('puts a tested image into production, once, and where it is asked to', async () => {
    await suite.start();
    const name = suite.newName();
    const image = `${name}@v1`;
    await suite.tested(await suite.build(suite.recipe(name)));
    const first = await suite.answer(await promote(image, ['sn-1']), [SUBJECTS.imagePromoted]);
    const statement = JSON.parse(
      readFileSync(suite.repository('production', name, 'v1', 'signature.json'), 'utf8'),
    ) as SignedStatement;
    expect(first.data).toMatchObject({
      name,
      version: 'v1',
      to: ['sn-1'],
      sources: [`http://builder.test/base/images/${name}/v1`],
      archiveDigest: statement.archiveDigest,
    });
    expect(existsSync(suite.repository('testing', name, 'v1'))).toBe(false);
    expect(await suite.rejected(await promote(image, ['sn-1']))).toMatchObject({
      operation: 'promotion',
      reason: 'already-promoted',
    });
    expect((await suite.answer(await promote(image), [SUBJECTS.imagePromoted])).data['to']).toBeUndefined();
    await suite.answer(await suite.ask(SUBJECTS.imageRevocationRequested, { image, reason: 'it is broken' }), [
      SUBJECTS.imageRevoked,
    ]);
    expect(await suite.rejected(await promote(image))).toMatchObject({ reason: 'revoked' });
    expect(await suite.rejected(await suite.build(`name: ${suite.newName()}\nfrom: ${image}\n`))).toMatchObject({
      reason: 'revoked',
    });
    expect(await suite.rejected(await promote(`${name}@v9`))).toMatchObject({ reason: 'image-not-found' });
    const reply = await suite.connection.request(QUERIES.build, JSON.stringify({ image }), { timeout: 60_000 });
    expect(reply.json()).toMatchObject({
      ok: true,
      data: { name, state: 'revoked', manifest: { timezone: 'UTC' }, tests: expect.any(Array) },
    });
    const unknown = await suite.connection.request(QUERIES.build, JSON.stringify({ image: `${name}@v9` }), {
      timeout: 60_000,
    });
    expect(unknown.json()).toMatchObject({ ok: false, reason: 'image-not-found' });
  });

  it('is finished by another process after a crash between the files and the fact', async () => {
    const builder = await suite.start();
    const name = suite.newName();
    await suite.tested(await suite.build(suite.recipe(name)));
    await builder.end('SIGKILL');
    const requestId = 'a'.repeat(32);
    // The state after a builder died right after the rename.
    const row = JSON.stringify({ requestId, correlationId: requestId });
    const sql = `UPDATE image_builder.image_build SET state = 'promoting', promotion = '${row}' WHERE name = '${name}'`;
    const { DataSource } = await import('typeorm');
    const source = await new DataSource({ type: 'postgres', url: suite.postgres.url }).initialize();
    await source.query(sql);
    await source.destroy();
    mkdirSync(suite.repository('production', name), { recursive: true });
    execFileSync('mv', [suite.repository('testing', name, 'v1'), suite.repository('production', name, 'v1')]);
    await suite.start();
    expect((await suite.answer(requestId, [SUBJECTS.imagePromoted])).data).toMatchObject({ name, version: 'v1' });
  });

  it('serves only images in production, also in parts', async () => {
    const builder = await suite.start();
    const name = suite.newName();
    await suite.tested(await suite.build(suite.recipe(name)));
    const base = `${suite.downloadsOf(builder)}/images/${name}/v1`;
    const get = (from: string, init: RequestInit = {}): Promise<Response> =>
      fetch(from, { ...init, headers: { ...init.headers, authorization: `Bearer ${suite.token}` } });
    expect((await get(`${base}/manifest.json`)).status).toBe(404);
    await suite.answer(await promote(`${name}@v1`), [SUBJECTS.imagePromoted]);
    const archive = readFileSync(suite.repository('production', name, 'v1', archiveFileName(name, 'v1')));
    const url = `${base}/${archiveFileName(name, 'v1')}`;
    const whole = await get(url);
    const etag = whole.headers.get('etag') ?? '';
    expect(Buffer.from(await whole.arrayBuffer()).equals(archive)).toBe(true);
    expect(etag).toMatch(/^"sha256:[0-9a-f]{64}"$/);
    const head = await get(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([
      200,
      String(archive.length),
      '',
    ]);
    const part = await get(url, { headers: { range: 'bytes=100-199', 'if-range': etag } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${archive.length}`]);
    expect(Buffer.from(await part.arrayBuffer()).equals(archive.subarray(100, 200))).toBe(true);
    expect((await get(url, { headers: { range: `bytes=${archive.length}-` } })).status).toBe(416);
    expect((await get(url, { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await get(url, { headers: { range: 'bytes=0-9', 'if-range': '"other"' } })).status).toBe(200);
    for (const path of [
      `/images/${name}/v1/../../../../etc/passwd`,
      `/images/${name}/v1/..%2f..%2f..%2fkey.pem`,
      `/images/${name}/v1/%2e%2e/x`,
      `/images/..%2ftesting/${name}/v1`,
      `/images/${name}/v01/manifest.json`,
      `/images/${name}/v1/manifest.json%00`,
      `/images/${name}/v1/.`,
    ]) {
      expect(await statusOf(suite.downloadsOf(builder), path, suite.token)).toBeGreaterThanOrEqual(400);
    }
    for (const authorization of [
      undefined,
      'Bearer',
      'Bearer wrong',
      `Bearer ${suite.token}x`,
      `Basic ${suite.token}`,
      suite.token,
    ]) {
      const refused = await fetch(url, { headers: authorization === undefined ? {} : { authorization } });
      expect([refused.status, refused.headers.get('www-authenticate'), await refused.text()]).toEqual([
        401,
        'Bearer',
        '{"error":"a token is needed"}\n',
      ]);
    }
    expect((await fetch(url, { headers: { authorization: 'Bearer older-token' } })).status).toBe(200);
    expect((await get(url, { method: 'DELETE' })).status).toBe(405);
    // Health and metrics are elsewhere, and images are not there.
    expect((await get(`${suite.downloadsOf(builder)}/health/live`)).status).toBe(404);
    expect((await get(url.replace(suite.downloadsOf(builder), builder.url))).status).toBe(404);
    expect(JSON.stringify(builder.log)).not.toContain(suite.token);
  });

  it('serves what a new version differs by from one that a storage node has', async () => {
    const builder = await suite.start();
    const name = suite.newName();
    for (const [version, files] of Object.entries({ v1: 'one', v2: 'two' })) {
      const recipe = suite.recipe(name, `files: [{ path: /etc/answer, content: ${files} }]\n`);
      await suite.tested(await suite.build(recipe));
      await suite.answer(await promote(`${name}@${version}`), [SUBJECTS.imagePromoted]);
    }
    const deltas = `${suite.downloadsOf(builder)}/images/${name}/v2/delta`;
    const get = (path: string): Promise<Response> =>
      fetch(`${deltas}/${path}`, { headers: { authorization: `Bearer ${suite.token}` } });
    const from = `${name}@v1`;
    const answer = async (): Promise<DeltaIndex | undefined> => {
      const response = await get(`${from}/index.json`);
      if (response.status === 503) expect(response.headers.get('retry-after')).toBe('1');
      return response.ok ? parseDeltaIndex(await response.json()) : undefined;
    };
    await suite.until(async () => (await answer()) !== undefined, 'the delta is made');
    const index = (await answer())!;
    const manifest = (version: string): ImageManifest =>
      JSON.parse(readFileSync(suite.repository('production', name, version, 'manifest.json'), 'utf8')) as ImageManifest;
    const [base, next] = [manifest('v1'), manifest('v2')];
    expect(index).toMatchObject({ base: base.contentDigest, next: next.contentDigest });
    const segments = planDelta(base.entries, next.entries);
    expect(segments.flatMap(({ targets }) => targets.map(({ path }) => path))).toEqual(['etc/answer']);
    expect(index.segments).toHaveLength(1);
    for (const file of [DELTA_FILES.manifest, DELTA_FILES.mountScript, DELTA_FILES.segment(0)])
      expect((await get(`${from}/${file}`)).status).toBe(200);
    // The whole archive of this small image is larger than the delta with its documents.
    expect(deltaBytes(index)).toBeLessThan(
      statSync(suite.repository('production', name, 'v2', archiveFileName(name, 'v2'))).size / 4,
    );
    const hostile = ['segment-1.zst', 'segment-00.zst', 'segment--1.zst', 'other', '..%2f..%2findex.json'];
    for (const path of hostile) expect((await get(`${from}/${path}`)).status).toBe(404);
    for (const other of [`${name}@v2`, `${name}@v9`, 'other@v1', name, '..', `${from}%00`])
      expect((await get(`${other}/index.json`)).status).toBe(404);
    expect(readdirSync(suite.repository('deltas', name, 'v2'))).toEqual([from]);

    await suite.ask(SUBJECTS.imageRetired, { name, version: 'v1' });
    await suite.until(() => !existsSync(suite.repository('deltas', name, 'v2', from)), 'the delta is removed');
    expect((await get(`${from}/index.json`)).status).toBe(404);

    // As a delta that was finished after its base, or its version, was retired.
    const left = [suite.repository('deltas', name, 'v2', from), suite.repository('deltas', name, 'v9', `${name}@v2`)];
    for (const path of left) mkdirSync(path, { recursive: true });
    await builder.end('SIGKILL');
    await suite.start();
    for (const path of left) expect(existsSync(path)).toBe(false);
  });
});

/** fetch() would normalise the path before it is sent. */
function statusOf(url: string, path: string, token: string): Promise<number> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}
