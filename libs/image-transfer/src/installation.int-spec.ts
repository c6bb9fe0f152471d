import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { checkVersion, FileReader } from '@plinth/image-store';
import { InstalledImages } from './installed-images.js';
import { Staging } from './staging.js';
import { TrustedKeys } from '@plinth/image-trust';
import { StoreLayout } from './domain/store-layout.js';
import { fillTree } from './fill-tree.js';
import { type Answer, correctAnswer, HostileRepository } from './testing/hostile-repository.js';
import {
  compress,
  entriesOf,
  makeImage,
  makeKey,
  makeManifest,
  membersOf,
  packTar,
  promotionOf,
  sha256,
  signImage,
  type TestImage,
  trust,
} from './testing/image-fixture.js';
import { Installation, type InstallationResult } from './installation.js';

const STALL_MS = 1_500;
const key = makeKey();
const otherKey = makeKey();
let scratch: string;
let image: TestImage;
let other: TestImage;
let repository: HostileRepository;
let storage: string;
const servers: Server[] = [];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-installation-'));
  trust(join(scratch, 'keys'), key);
  // The content does not compress: the archive is about as long.
  image = await makeImage({ 'usr/lib/big': randomBytes(3 * 1024 ** 2), 'etc/hostname': 'box' }, key);
  other = await makeImage({ 'usr/lib/big': randomBytes(3 * 1024 ** 2), 'etc/hostname': 'fox' }, key);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  storage = mkdtempSync(join(scratch, 'storage-'));
  repository = await new HostileRepository().start();
});
afterEach(async () => {
  await repository.stop();
  for (const server of servers.splice(0)) server.close();
});

interface Options {
  readonly turn?: number;
  readonly signal?: AbortSignal;
  readonly of?: TestImage;
  readonly directory?: string;
  readonly token?: string;
}

async function install(
  sources: readonly string[],
  { turn = 0, signal = new AbortController().signal, of = image, directory = storage, token }: Options = {},
): Promise<InstallationResult> {
  const layout = new StoreLayout(directory);
  const staging = new Staging(layout);
  await staging.prepare();
  const parts = {
    images: new InstalledImages(layout),
    staging,
    keys: new TrustedKeys(join(scratch, 'keys')),
    extract: fillTree,
    check: async (directory: string) => checkVersion(directory, layout.objects, new FileReader()) ?? [],
    stallMs: STALL_MS,
    token: () => token,
  };
  return new Installation(parts, promotionOf(of, sources), turn, signal).run();
}

const stands = (directory = storage): boolean => existsSync(join(directory, 'images/tiny/v1'));
const staged = (): string[] =>
  existsSync(join(storage, 'staging/tiny-v1')) ? readdirSync(join(storage, 'staging/tiny-v1')) : [];
const archiveRequests = (): { range: string | undefined; status: number }[] =>
  repository.requests.filter(({ path }) => path.endsWith('.zst'));
const part = (): string => join(storage, 'staging/tiny-v1/download.part');

function expectInstalled(result: InstallationResult): void {
  expect(result.outcome).toMatchObject({ ok: true, value: { contentDigest: image.manifest.contentDigest } });
  expect(sha256(readFileSync(join(storage, 'images/tiny/v1/root/usr/lib/big')))).toBe(
    image.manifest.entries.find(({ path }) => path === 'usr/lib/big')?.['digest' as never],
  );
  expect(staged().filter((file) => !file.startsWith('download.part'))).toEqual([]);
}

function expectFailed(result: InstallationResult, reason: string, message?: RegExp): void {
  expect(result.outcome).toMatchObject({
    ok: false,
    reason,
    message: expect.stringMatching(message ?? /./),
  });
  expect(stands()).toBe(false);
  expect(staged().filter((file) => !file.startsWith('download.part'))).toEqual([]);
}

/** Sends the first bytes and cuts the connection, `times` times; later responses are complete. */
function cutting(after: number, times = 1): Answer {
  let left = times;
  return (request, response, body) => {
    if (left-- <= 0) return correctAnswer(request, response, body);
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      etag: `"${body.length}-${body.subarray(-16).toString('hex')}"`,
      'content-length': body.length - from,
      ...(from > 0 ? { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` } : {}),
    });
    response.write(body.subarray(from, from + after), () => setTimeout(() => response.destroy(), 20));
  };
}

it('sends its token to the repository, and reports a token that is refused', async () => {
  const guarded: Answer = (request, response, body) => {
    if (request.headers.authorization === 'Bearer right') correctAnswer(request, response, body);
    else response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
  };
  const source = repository.put(image, { archive: guarded, manifest: guarded, statement: guarded });
  expectFailed(await install([source]), 'repository-refused', /status 401/);
  expectFailed(await install([source], { token: 'wrong' }), 'repository-refused', /status 401/);
  expectInstalled(await install([source], { token: 'right' }));
});

describe('an installation', () => {
  it('installs the image, and finds it the second time', async () => {
    const source = repository.put(image);
    const first = await install([source]);
    expectInstalled(first);
    expect(first.downloadedBytes).toBe(image.archive.length);
    rmSync(part());
    const again = await install([source]);
    expectInstalled(again);
    expect(again.downloadedBytes).toBe(0);
  });

  it('never replaces a version by other content', async () => {
    expectInstalled(await install([repository.put(image)]));
    const { outcome } = await install([repository.put(other)], { of: other });
    expect(outcome).toMatchObject({
      ok: false,
      reason: 'manifest-mismatch',
      message: expect.stringMatching(/the copy here/),
    });
    expect(readFileSync(join(storage, 'images/tiny/v1/root/etc/hostname'), 'utf8')).toBe('box');
  });

  it('does not accept an incomplete directory as installed', async () => {
    mkdirSync(join(storage, 'images/tiny/v1/root'), { recursive: true });
    const { outcome } = await install([repository.put(image)]);
    expect(outcome).toMatchObject({
      ok: false,
      reason: 'manifest-mismatch',
      message: expect.stringMatching(/damaged/),
    });
  });

  it('goes on where the connection was cut, within one try', async () => {
    const result = await install([repository.put(image, { archive: cutting(1024 ** 2, 2) })]);
    expectInstalled(result);
    expect(result.downloadedBytes).toBe(image.archive.length);
    // What was on its way when the connection was cut may be lost.
    const [first, ...others] = archiveRequests().map(({ range }) => range);
    expect(first).toBeUndefined();
    const begins = others.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]));
    expect(begins).toEqual([...begins].sort((a, b) => a - b));
    expect(begins).toHaveLength(2);
    expect(begins[0]).toBeGreaterThan(0);
    expect(repository.requests.find(({ range }) => range)?.ifRange).toMatch(/^"/);
  });

  it('continues the download of an earlier try in the next one', async () => {
    const source = repository.put(image, { archive: cutting(100_000, 1) });
    expectFailed(await install([source]), 'repository-unreachable');
    const kept = statSync(part()).size;
    expect(kept).toBeGreaterThan(0);
    const result = await install([source]);
    expectInstalled(result);
    expect(result.downloadedBytes).toBe(image.archive.length - kept);
  });

  it('goes on from another source', async () => {
    const broken = repository.put(image, { archive: cutting(100_000, 1_000) }, '/a');
    expectInstalled(await install([broken, repository.put(image, {}, '/b')]));
    expect(archiveRequests().map(({ status }) => status)).toEqual([200, 206]);
  });

  it('begins again when the file behind the URL is another one', async () => {
    mkdirSync(join(storage, 'staging/tiny-v1'), { recursive: true });
    writeFileSync(part(), randomBytes(100_000));
    writeFileSync(`${part()}.json`, JSON.stringify({ etag: '"old"' }));
    expectInstalled(await install([repository.put(image)]));
    expect(archiveRequests()).toMatchObject([{ range: 'bytes=100000-', status: 200 }]);
  });

  it('begins again after wrong bytes', async () => {
    mkdirSync(join(storage, 'staging/tiny-v1'), { recursive: true });
    writeFileSync(part(), randomBytes(100_000));
    const source = repository.put(image);
    expectFailed(await install([source]), 'digest-mismatch');
    expect(existsSync(part())).toBe(false);
    expectInstalled(await install([source]));
  });

  it('verifies a complete part that an earlier process left', async () => {
    mkdirSync(join(storage, 'staging/tiny-v1'), { recursive: true });
    writeFileSync(part(), image.archive);
    const result = await install([repository.put(image)]);
    expectInstalled(result);
    expect(result.downloadedBytes).toBe(0);
  });

  it('begins again with a part that is too long', async () => {
    mkdirSync(join(storage, 'staging/tiny-v1'), { recursive: true });
    writeFileSync(part(), Buffer.alloc(image.archive.length + 1));
    expectInstalled(await install([repository.put(image)]));
  });

  it('accepts a server without range requests', async () => {
    const plain: Answer = (_, response, body) => response.writeHead(200, { 'content-length': body.length }).end(body);
    mkdirSync(join(storage, 'staging/tiny-v1'), { recursive: true });
    writeFileSync(part(), image.archive.subarray(0, 1_000));
    expectInstalled(await install([repository.put(image, { archive: plain })]));
  });

  it.each<[string, Answer, string, RegExp]>([
    [
      'refuses a wrong length',
      (_, response, body) =>
        response.writeHead(200, { 'content-length': body.length + 1 }).end(Buffer.concat([body, Buffer.from('x')])),
      'wrong-size',
      /bytes, \d+ were expected/,
    ],
    [
      'refuses a short file',
      (_, response, body) => response.writeHead(200).end(body.subarray(0, -1)),
      'wrong-size',
      /ended after/,
    ],
    [
      'refuses an endless body',
      (_, response) => {
        const send = (): void => {
          while (response.write(Buffer.alloc(65_536)));
          response.once('drain', send);
        };
        send();
      },
      'wrong-size',
      /is longer than/,
    ],
    [
      'refuses a redirect',
      (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      'repository-refused',
      /status 302/,
    ],
    ['refuses a missing file', (_, response) => response.writeHead(404).end(), 'repository-refused', /status 404/],
    [
      'refuses a compressed answer',
      (_, response, body) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body),
      'repository-refused',
      /content-encoding/,
    ],
    [
      'refuses a range that was not asked for',
      (_, response, body) =>
        response.writeHead(206, { 'content-range': `bytes 5-${body.length - 1}/${body.length}` }).end(body.subarray(5)),
      'repository-refused',
      /status 206/,
    ],
    [
      'waits for a server that fails',
      (_, response) => response.writeHead(503).end(),
      'repository-unreachable',
      /status 503/,
    ],
    ['breaks off a server that sends nothing', () => undefined, 'download-stalled', /sent less than/],
    [
      'breaks off one that stops in the middle',
      (_, response, body) => {
        response.writeHead(200, { 'content-length': body.length });
        response.write(body.subarray(0, 10_000));
      },
      'download-stalled',
      /sent less than/,
    ],
    [
      'breaks off a byte now and then',
      (_, response, body) => {
        response.writeHead(200, { 'content-length': body.length });
        const drip = setInterval(() => response.write('x'), 20);
        response.on('close', () => clearInterval(drip));
      },
      'download-stalled',
      /sent less than/,
    ],
    [
      'waits when the connection is cut at once',
      (_, response) => response.destroy(),
      'repository-unreachable',
      /socket hang up|aborted|ECONNRESET/,
    ],
    [
      'waits when headers never end',
      (request) => {
        request.socket.write(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(1024 ** 2)}`);
      },
      'repository-unreachable',
      /Header overflow/i,
    ],
  ])('%s', async (_, archive, reason, message) => {
    expectFailed(await install([repository.put(image, { archive })]), reason, message);
  });

  it.each(['statement', 'manifest'] as const)('bounds the %s', async (document) => {
    const endless: Answer = (_, response) => {
      const send = (): void => {
        while (response.write(Buffer.alloc(65_536, ' ')));
        response.once('drain', send);
      };
      send();
    };
    expectFailed(await install([repository.put(image, { [document]: endless })]), 'wrong-size', /is longer than/);
  });

  it('refuses a response with another range than the requested one', async () => {
    mkdirSync(join(storage, 'staging/tiny-v1'), { recursive: true });
    writeFileSync(part(), image.archive.subarray(0, 1_000));
    const shifted: Answer = (_, response, body) =>
      response.writeHead(206, { 'content-range': `bytes 0-${body.length - 1}/${body.length}` }).end(body);
    expectFailed(
      await install([repository.put(image, { archive: shifted })]),
      'wrong-size',
      /content-range|was expected/,
    );
  });

  it('waits when no server listens, and after a response that is no HTTP', async () => {
    expectFailed(await install(['http://127.0.0.1:1/x']), 'repository-unreachable', /ECONNREFUSED/);
    const server = createServer((socket: Socket) => socket.end('SSH-2.0-OpenSSH\r\n'));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    expectFailed(
      await install([`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/x`]),
      'repository-unreachable',
    );
  });

  it.each([0, 3, 100, 5_000, 1_500_000, -20, -1])('finds a bit that was flipped at %i', async (offset) => {
    const flipped: Answer = (request, response, body) => {
      const bad = Buffer.from(body);
      const at = offset < 0 ? bad.length + offset : offset;
      bad.writeUInt8(bad.readUInt8(at) ^ 4, at);
      correctAnswer(request, response, bad);
    };
    expectFailed(await install([repository.put(image, { archive: flipped })]), 'digest-mismatch', /signed is/);
    expect(existsSync(part())).toBe(false);
  });

  it('takes the next source when the first one sends wrong content', async () => {
    const wrongSource = repository.put(
      image,
      { archive: (request, response, body) => correctAnswer(request, response, Buffer.alloc(body.length)) },
      '/wrong',
    );
    expectInstalled(await install([wrongSource, repository.put(image, {}, '/good')]));
  });

  it('begins with another source each time', async () => {
    const sources = [repository.put(image, {}, '/a'), repository.put(image, {}, '/b')];
    expectInstalled(await install(sources, { turn: 3 }));
    expect(repository.requests.every(({ path }) => path.startsWith('/b/'))).toBe(true);
  });

  describe('trusts no source:', () => {
    const resigned = (changes: Parameters<typeof signImage>[3], by = key): TestImage => ({
      ...image,
      statement: signImage(image.manifest, image.archive, by, changes).statement,
    });
    it.each<[string, () => TestImage, string]>([
      ['a key that is not trusted', () => resigned({}, otherKey), 'unknown-key'],
      ['another key under a trusted id', () => resigned({ keyId: key.id }, otherKey), 'bad-signature'],
      [
        'a signature over something else',
        () => ({ ...image, statement: { ...image.statement, manifestBytes: image.statement.manifestBytes + 1 } }),
        'bad-signature',
      ],
      [
        'a signature of zeros',
        () => ({ ...image, statement: { ...image.statement, signature: Buffer.alloc(64).toString('base64') } }),
        'bad-signature',
      ],
      ['a statement about another name', () => resigned({ name: 'other' }), 'bad-signature'],
      ['a statement about another version', () => resigned({ version: 'v2' }), 'bad-signature'],
      ['the statement of another image', () => ({ ...image, statement: other.statement }), 'bad-signature'],
      ['a statement about another archive', () => resigned({ archiveDigest: sha256('x') }), 'bad-signature'],
      ['a swapped manifest', () => ({ ...image, manifestBytes: other.manifestBytes }), 'digest-mismatch'],
      [
        'a swapped archive',
        () => ({
          ...image,
          archive: Buffer.concat([
            other.archive.subarray(0, image.archive.length),
            Buffer.alloc(Math.max(0, image.archive.length - other.archive.length)),
          ]),
        }),
        'digest-mismatch',
      ],
    ])('%s', async (_, make, reason) => {
      const { archive, manifestBytes, statement } = make();
      // It is offered under the URL of the promoted image, although its files name another.
      const served: TestImage = { ...image, archive, manifestBytes };
      const source = repository.put(served, {
        statement: (_request, response) => response.end(JSON.stringify(statement)),
      });
      expectFailed(await install([source]), reason);
    });

    it('its own signer, when the manifest is unsound', async () => {
      const { entries, contents } = entriesOf({ 'etc/x': 'y' });
      const archive = compress(await packTar(membersOf(entries, contents)));
      const upwards = signImage(
        makeManifest([...entries, { path: '../x', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0 }]),
        archive,
        key,
      );
      expectFailed(await install([repository.put(upwards)], { of: upwards }), 'bad-manifest', /component \.\./);
      const renamed = { ...makeManifest(entries), name: 'renamed' };
      const mixed = signImage(renamed, archive, key, { name: 'tiny' });
      expectFailed(await install([repository.put(mixed)], { of: mixed }), 'bad-manifest', /renamed@v1/);
      const noJson = signImage(makeManifest(entries), archive, key, { manifestDigest: sha256('{'), manifestBytes: 1 });
      expectFailed(
        await install([repository.put({ ...noJson, manifestBytes: Buffer.from('{') })], { of: noJson }),
        'bad-manifest',
        /JSON/,
      );
    });

    it('its own signer, when the archive is another tree', async () => {
      const evil = entriesOf({ 'etc/x': 'y', 'etc/y': { to: '/etc/passwd' } });
      const good = entriesOf({ 'etc/x': 'y' });
      const signed = signImage(
        makeManifest(good.entries),
        compress(await packTar(membersOf(evil.entries, evil.contents))),
        key,
      );
      expectFailed(await install([repository.put(signed)], { of: signed }), 'manifest-mismatch');
    });
  });

  it('leaves only a resumable download when it is ended', async () => {
    const ending = new AbortController();
    const stalling: Answer = (_, response, body) => {
      response.writeHead(200, { 'content-length': body.length });
      response.write(body.subarray(0, 50_000), () => setTimeout(() => ending.abort(new Error('stopping')), 50));
    };
    await expect(install([repository.put(image, { archive: stalling })], { signal: ending.signal })).rejects.toThrow(
      'stopping',
    );
    expect(staged().sort()).toEqual(['download.part', 'download.part.json']);
  });

  describe('on a disk that is full', () => {
    /** A memory file system of its own, unmounted in any case. */
    async function onSmallDisk(options: string, test: (directory: string) => Promise<void>): Promise<void> {
      const directory = mkdtempSync(join(scratch, 'disk-'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'plinth-test', directory]);
      try {
        await test(directory);
      } finally {
        execFileSync('umount', [directory]);
      }
    }
    const leftovers = (directory: string): string[] =>
      readdirSync(join(directory, 'staging/tiny-v1')).filter((file) => !file.startsWith('download.part'));

    it('does not begin an installation that does not fit', async () => {
      await onSmallDisk('size=4m', async (directory) => {
        const { outcome, downloadedBytes } = await install([repository.put(image)], { directory });
        expect(outcome).toMatchObject({
          ok: false,
          reason: 'no-space',
          message: expect.stringMatching(/need about/),
        });
        expect(downloadedBytes).toBe(0);
      });
    });

    it('gives up cleanly in the download, and succeeds when there is room', async () => {
      await onSmallDisk('size=12m', async (directory) => {
        const filler = join(directory, 'filler');
        const filling: Answer = (request, response, body) => {
          // Another process takes the free space between its measurement and the download.
          writeFileSync(filler, Buffer.alloc(10 * 1024 ** 2));
          correctAnswer(request, response, body);
        };
        expect((await install([repository.put(image, { archive: filling })], { directory })).outcome).toMatchObject({
          ok: false,
          reason: 'no-space',
        });
        expect(stands(directory)).toBe(false);
        expect(leftovers(directory)).toEqual([]);
        rmSync(filler);
        expect((await install([repository.put(image)], { directory })).outcome).toMatchObject({ ok: true });
      });
    });

    it('gives up cleanly in the extraction', async () => {
      await onSmallDisk('size=12m', async (directory) => {
        const filling: Answer = (request, response, body) => {
          writeFileSync(join(directory, 'filler'), Buffer.alloc(7 * 1024 ** 2));
          correctAnswer(request, response, body);
        };
        const { outcome, downloadedBytes } = await install([repository.put(image, { archive: filling })], {
          directory,
        });
        expect(outcome).toMatchObject({
          ok: false,
          reason: 'no-space',
          message: expect.stringMatching(/the tree could not be written/),
        });
        expect(downloadedBytes).toBe(image.archive.length);
        expect(stands(directory)).toBe(false);
        expect(leftovers(directory)).toEqual([]);
      });
    });

    it('gives up cleanly without inodes', async () => {
      await onSmallDisk('size=64m,nr_inodes=24', async (directory) => {
        expect((await install([repository.put(image)], { directory })).outcome).toMatchObject({
          ok: false,
          reason: 'no-space',
        });
        expect(stands(directory)).toBe(false);
        expect(leftovers(directory)).toEqual([]);
      });
    });
  });
});
