/**
 * Machines of one data centre fetch a version from each other: real HTTP, real files, each machine with a store of its
 * own. What the image-builder sends is counted.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ImageSource, ProductionImage } from '@plinth/contracts';
import { checkVersion, FileReader } from '@plinth/image-store';
import { TrustedKeys } from '@plinth/image-trust';
import type { ProducedImage } from './domain/installed.js';
import { planSources } from './domain/source-plan.js';
import { StoreLayout } from './domain/store-layout.js';
import { fillTree } from './fill-tree.js';
import { Installation, type InstallationResult } from './installation.js';
import { InstalledImages } from './installed-images.js';
import { ImageServing } from './serve/image-serving.js';
import { PackedSegments } from './serve/packed-segments.js';
import { SourceChoices } from './source-choices.js';
import { Staging } from './staging.js';
import { correctAnswer, HostileRepository } from './testing/hostile-repository.js';
import { makeImage, makeKey, promotionOf, type TestImage, trust } from './testing/image-fixture.js';

const MIB = 1024 ** 2;
const TOKEN = 'a-token';
const key = makeKey();
const scratch = mkdtempSync(join(tmpdir(), 'plinth-peers-'));
/** Several segments, and little work to compress. */
const large = (text: string): Buffer => Buffer.alloc(12 * MIB, text.padEnd(4_000, '.'));
const common = { 'a/one': large('one'), 'b/two': large('two'), 'c/three': large('three'), 'etc/empty': '' };
const library = randomBytes(MIB);
const patched = Buffer.concat([library.subarray(0, 500_000), Buffer.from('patch'), library.subarray(500_000)]);
let first: TestImage;
let second: TestImage;
let builder: HostileRepository;
const machines: Machine[] = [];

beforeAll(async () => {
  trust(join(scratch, 'keys'), key);
  first = await makeImage({ ...common, 'usr/lib/lib.so': library, 'etc/name': 'one' }, key);
  second = await makeImage({ ...common, 'usr/lib/lib.so': patched, 'etc/name': 'two' }, key, { version: 'v2' });
  builder = await new HostileRepository().start();
});
afterAll(async () => {
  await Promise.all(machines.map((machine) => machine.end()));
  await builder?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

/** Bytes of archives that the image-builder has sent. */
let sentByBuilder = 0;
const offered = (image: TestImage, path: string): string =>
  builder.put(
    image,
    {
      archive: (request, response, body) => {
        sentByBuilder += body.length;
        correctAnswer(request, response, body);
      },
    },
    path,
  );

class Machine {
  readonly storage: string;
  readonly images: InstalledImages;
  readonly serving: ImageServing;
  readonly segments: PackedSegments;
  private readonly staging: Staging;
  private server: Server | undefined;
  /** Sends other bytes in place of segments. */
  isLying = false;
  /** Ends in the middle of what it serves. */
  dies = false;
  readonly segmentsAsked: string[] = [];
  readonly manifestsAsked: string[] = [];
  readonly results: InstallationResult[] = [];
  private readonly ending = new AbortController();

  private constructor(
    readonly node: string,
    transfers: number,
  ) {
    this.storage = join(scratch, node);
    const layout = new StoreLayout(this.storage);
    this.images = new InstalledImages(layout);
    this.staging = new Staging(layout);
    this.segments = new PackedSegments({
      ...{ images: this.images, directory: join(this.storage, 'packed'), mostBytes: 64 * MIB },
    });
    this.serving = new ImageServing({ images: this.images, segments: this.segments, tokens: () => [TOKEN], transfers });
  }

  static async start(node: string, transfers = 4): Promise<Machine> {
    const machine = new Machine(node, transfers);
    machines.push(machine);
    await machine.staging.prepare();
    await machine.segments.start();
    const server = createServer((asked, response) => {
      const isSegment = asked.url?.includes('/segments/') === true;
      if (isSegment) machine.segmentsAsked.push(asked.url ?? '');
      if (/\/manifest/.test(asked.url ?? '')) machine.manifestsAsked.push(asked.url ?? '');
      if (machine.isLying && isSegment) {
        const lie = randomBytes(1_000);
        response.writeHead(200, { 'content-length': lie.length }).end(lie);
        return;
      }
      if (machine.dies && asked.url?.endsWith('/1.zst') === true) {
        // In the middle of its second segment.
        response.writeHead(200, { 'content-length': MIB });
        response.write(randomBytes(1_000), () => void machine.end());
        return;
      }
      machine.serving.answer(asked, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    machine.server = server;
    return machine;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server?.address() as AddressInfo | null)?.port}`;
  }

  source(version: string): ImageSource {
    return { url: `${this.url}/images/tiny/${version}`, dataCenter: 'east', node: this.node };
  }

  /** Tries until it has the version, with what is known at each try. */
  async fetch(image: TestImage, state: () => ProductionImage): Promise<void> {
    const choices = new SourceChoices({ node: this.node, dataCenter: 'east' });
    for (let turn = 0; ; turn++) {
      const plan = choices.plan(state());
      if (plan && 'image' in plan) {
        const result = await this.install(plan.image, turn);
        choices.learn(image.statement, result);
        if (result.outcome.ok) return;
      }
      await delay(20, undefined, { signal: this.ending.signal });
    }
  }

  async install(image: ProducedImage, turn = 0): Promise<InstallationResult> {
    const { layout } = this.images;
    const parts = {
      ...{ images: this.images, staging: this.staging, keys: new TrustedKeys(join(scratch, 'keys')) },
      extract: fillTree,
      check: async (directory: string) => checkVersion(directory, layout.objects, new FileReader()) ?? [],
      ...{ stallMs: 60_000, token: () => TOKEN },
    };
    const result = await new Installation(parts, image, turn, this.ending.signal).run();
    this.results.push(result);
    if (result.outcome.ok) await this.staging.clean(image, false);
    return result;
  }

  problems(version: string): readonly unknown[] {
    const { layout } = this.images;
    return checkVersion(layout.version({ name: 'tiny', version }), layout.objects, new FileReader()) ?? ['absent'];
  }

  async end(): Promise<void> {
    this.ending.abort(new Error('it ends'));
    const { server } = this;
    this.server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await this.segments.stop();
  }
}

function stateOf(
  image: TestImage,
  source: string,
  peers: readonly ImageSource[],
  seeds: readonly ImageSource[] = [],
): ProductionImage {
  const { sources: _, ...known } = promotionOf(image, []);
  return { ...known, state: 'promoted', sources: [{ url: source }, ...peers], seeds: [...seeds] };
}

/** With these machines near by, and nothing else known. */
function planned(machine: Machine, image: TestImage, source: string, peers: readonly Machine[]): ProducedImage {
  const { version } = image.statement;
  const state = stateOf(
    image,
    source,
    peers.map((peer) => peer.source(version)),
  );
  const self = { node: machine.node, dataCenter: 'east' };
  const plan = planSources(state, self, { waitedMs: 0, aloneMs: 0, failed: new Set() });
  if (!plan || !('image' in plan)) throw new Error('it waits');
  return plan.image;
}

it('16 machines have the image-builder send it twice at the most, though one dies and one lies', async () => {
  const source = offered(first, '/images/tiny/v1');
  const all = await Promise.all(Array.from({ length: 16 }, (_, index) => Machine.start(`sn-${index}`, 3)));
  const [dying, seed, , lying] = all as [Machine, Machine, Machine, Machine];
  dying.dies = true;
  lying.isLying = true;
  const holders = new Set<Machine>();
  const seeds = all.slice(0, 3).map((machine) => machine.source('v1'));
  // The provisioner does not know yet that one is dead.
  const known = new Map(all.map((machine) => [machine, machine.source('v1')]));
  const state = (): ProductionImage =>
    stateOf(
      first,
      source,
      [...holders].flatMap((machine) => known.get(machine) ?? []),
      seeds,
    );
  const fetchAll = (some: readonly Machine[]): Promise<unknown> =>
    Promise.all(
      some.map(async (machine) => {
        await machine.fetch(first, state);
        holders.add(machine);
      }),
    );
  await fetchAll([dying, seed, lying]);
  await fetchAll(all.filter((machine) => !holders.has(machine)));
  expect(all.flatMap((machine) => machine.problems('v1'))).toEqual([]);
  expect(dying.segmentsAsked.length).toBeGreaterThan(1);
  expect(lying.segmentsAsked.length).toBeGreaterThan(0);
  expect(sentByBuilder).toBe(2 * first.archive.length);
  // Each was asked in vain once by each of the others at the most.
  for (const bad of [dying, lying])
    for (const machine of all) {
      const tries = machine.results.filter(({ failedPeers }) =>
        failedPeers?.some((url) => url === known.get(bad)?.url),
      );
      expect(tries.length).toBeLessThanOrEqual(1);
    }
  // Nothing is packed twice, and nothing is left.
  expect(readdirSync(join(seed.storage, 'packed'))).toHaveLength(2);
  expect(all.flatMap(({ storage }) => readdirSync(join(storage, 'staging')))).toEqual([]);
});

it('machines without a fault have it sent once', async () => {
  const source = offered(second, '/images/tiny/v2');
  const all = await Promise.all(['a', 'b', 'c', 'd'].map((name) => Machine.start(name, 1)));
  const seeds = all.slice(0, 2).map((machine) => machine.source('v2'));
  const holders: ImageSource[] = [];
  const before = sentByBuilder;
  await Promise.all(
    all.map(async (machine) => {
      await machine.fetch(second, () => stateOf(second, source, holders, seeds));
      holders.push(machine.source('v2'));
    }),
  );
  expect(sentByBuilder - before).toBe(second.archive.length);
  expect(all.flatMap((machine) => machine.problems('v2'))).toEqual([]);
});

describe('a machine that serves', () => {
  it('sends the difference from a version that both have', async () => {
    const [source, next] = [offered(first, '/images/tiny/v1'), offered(second, '/images/tiny/v2')];
    const [server, receiver] = [await Machine.start('server'), await Machine.start('receiver')];
    for (const image of [first, second])
      await server.install(planned(server, image, image === first ? source : next, []));
    await receiver.install(planned(receiver, first, source, [server]));
    const before = sentByBuilder;
    const result = await receiver.install(planned(receiver, second, next, [server]));
    expect(result).toMatchObject({ outcome: { ok: true }, deltaFrom: 'tiny@v1' });
    expect(server.segmentsAsked.at(-1)).toContain('/segments/1/v1/');
    // The manifest too: of the first version it was fetched whole.
    expect(server.manifestsAsked).toEqual(['/images/tiny/v1/manifest.json', '/images/tiny/v2/manifests/v1.zst']);
    expect(result.downloadedBytes).toBeLessThan(30_000);
    expect(sentByBuilder).toBe(before);
    expect(receiver.problems('v2')).toEqual([]);
    // Of one that lacks the first version, everything is fetched.
    const late = await Machine.start('late');
    await late.install(planned(late, second, next, [server]));
    const other = await Machine.start('other');
    await other.install(planned(other, first, source, []));
    expect(await other.install(planned(other, second, next, [late]))).toMatchObject({ outcome: { ok: true } });
    expect(other.problems('v2')).toEqual([]);
    expect(late.segmentsAsked.map((url) => url.split('/').at(-2))).toEqual(['v1', 'nothing', 'nothing']);
    // Once for the difference, which it does not have, and once for everything.
    expect(late.manifestsAsked.map((url) => url.split('/tiny/').at(-1))).toEqual([
      'v2/manifests/v1.zst',
      'v2/manifest.json',
      'v2/manifest.json',
    ]);
  });

  it('keeps what it packs within its bound, and sends to no more than it may at once', async () => {
    const server = await Machine.start('bounded', 1);
    await server.install(planned(server, first, offered(first, '/images/tiny/v1'), []));
    const [one, two] = await Promise.all([
      server.segments.find({ name: 'tiny', version: 'v1' }, undefined, 0),
      server.segments.find({ name: 'tiny', version: 'v1' }, undefined, 1),
    ]);
    expect(await server.segments.find({ name: 'tiny', version: 'v1' }, undefined, 2)).toBeUndefined();
    expect(existsSync(one?.path ?? '') && existsSync(two?.path ?? '')).toBe(true);
    const small = new PackedSegments({
      ...{ images: server.images, directory: join(scratch, 'small'), mostBytes: (one?.bytes ?? 0) + 1 },
    });
    await small.start();
    await small.find({ name: 'tiny', version: 'v1' }, undefined, 0);
    await small.find({ name: 'tiny', version: 'v1' }, undefined, 1);
    expect(readdirSync(join(scratch, 'small'))).toHaveLength(1);
    await small.stop();
    expect(existsSync(join(scratch, 'small'))).toBe(false);
  });

  it.each([
    ['without a token', '/images/tiny/v1/manifest.json', { authorization: 'Bearer other' }, 401],
    ['a file of the tree', '/images/tiny/v1/root/etc/name', {}, 404],
    ['a way out', '/images/tiny/v1/../../secret', {}, 404],
    ['a version that is not here', '/images/tiny/v7/manifest.json', {}, 404],
    ['one that is damaged', '/images/tiny/v9/manifest.json', {}, 404],
    ['a document', '/images/tiny/v1/mount.sh', {}, 200],
    ['a part of a segment', '/images/tiny/v1/segments/1/nothing/0.zst', { range: 'bytes=10-19' }, 206],
  ])('answers %s', async (_, path, headers, status) => {
    const server = machines.find(({ node }) => node === 'bounded') ?? (await Machine.start('bounded'));
    const damaged = server.images.layout.version({ name: 'tiny', version: 'v9' });
    mkdirSync(damaged, { recursive: true });
    writeFileSync(join(damaged, 'manifest.json'), '{}');
    writeFileSync(join(server.storage, 'secret'), 'x');
    const { hostname, port } = new URL(server.url);
    const answer = await new Promise<{ status: number | undefined; body: Buffer }>((resolve, reject) => {
      // A client of its own: others make the path a shorter one.
      request({ hostname, port, path, headers: { authorization: `Bearer ${TOKEN}`, ...headers } }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
      })
        .on('error', reject)
        .end();
    });
    expect(answer.status).toBe(status);
    if (status === 206) expect(answer.body).toHaveLength(10);
  });
});
