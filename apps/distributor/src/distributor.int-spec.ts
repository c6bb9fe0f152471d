import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMissing } from '@plinth/host-os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  decodePayload,
  type ImagePromoted,
  MasterReport,
  MASTER_REPORTS,
  STORAGE_HEARTBEATS,
  StorageHeartbeat,
  STREAMS,
} from '@plinth/contracts';
import { connectNats, EventPublisher } from '@plinth/service-kit';
import type { NatsConnection, Subscription } from 'nats';
import { type ServiceProcess, startNats, type TestServer } from '@plinth/testkit';
import { ended, producedOf, publishProduction } from './testing/production.js';
import { refusedDistributor, startDistributor } from './testing/start-distributor.js';
import {
  type Answer,
  correctAnswer,
  HostileRepository,
  makeImage,
  makeKey,
  promotionOf,
  type TestImage,
  trust,
} from '@plinth/image-transfer/testing';

const key = makeKey();
const MIB = 1024 ** 2;
let scratch: string;
let nats: TestServer;
let connection: NatsConnection;
let publisher: EventPublisher;
let repository: HostileRepository;
let storage: string;
let node: string;
let subscriptions: Subscription[];
let reports: MasterReport[];
let heartbeats: StorageHeartbeat[];
let running: ServiceProcess[];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-distributor-'));
  nats = await startNats();
  connection = await connectNats({ url: nats.url, name: 'test' });
  publisher = new EventPublisher(connection, 'test');
  trust(join(scratch, 'keys'), key);
  repository = await new HostileRepository().start();
});

afterAll(async () => {
  await connection?.close();
  await repository?.stop();
  await nats?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

beforeEach(() => {
  node = `sn-${randomBytes(3).toString('hex')}`;
  storage = join(scratch, node);
  reports = [];
  heartbeats = [];
  running = [];
  subscriptions = [
    follow(MASTER_REPORTS, MasterReport, (report) => report.node === node && reports.push(report)),
    follow(STORAGE_HEARTBEATS, StorageHeartbeat, (heartbeat) => heartbeat.node === node && heartbeats.push(heartbeat)),
  ];
});

afterEach(async () => {
  await Promise.all(running.map((distributor) => distributor.end('SIGKILL')));
  for (const subscription of subscriptions) subscription.unsubscribe();
  // A new node gets all earlier promotions; the node of the next test must not.
  await (await connection.jetstreamManager()).streams.purge(STREAMS.desired.name);
});

function follow<T extends object>(subject: string, payload: new () => T, take: (value: T) => unknown): Subscription {
  return connection.subscribe(subject, {
    callback: (error, message) => {
      const decoded = decodePayload(payload, message.data);
      if (error || !decoded.ok)
        throw error ?? new Error(`${message.subject} breaks its contract: ${JSON.stringify(decoded)}`);
      take(decoded.value);
    },
  });
}

async function distributor(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const started = await startDistributor({
    NATS_URL: nats.url,
    PLINTH_STORAGE_NODE: node,
    PLINTH_STORAGE_DIR: storage,
    PLINTH_DATACENTER: 'west',
    PLINTH_LABELS: 'tier=ssd',
    PLINTH_TRUSTED_KEYS: join(scratch, 'keys'),
    PLINTH_DOWNLOAD_STALL_SECONDS: '1',
    PLINTH_RETRY_MAX_SECONDS: '1',
    ...env,
  });
  running.push(started);
  return started;
}

async function until<T>(what: () => T | undefined | false, patienceMs = 60_000): Promise<T> {
  for (const end = Date.now() + patienceMs; ;) {
    const value = what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`did not come: ${what.toString()}; reports: ${JSON.stringify(reports)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const promote = (promotion: ImagePromoted): Promise<void> => publishProduction(publisher, producedOf(promotion));
const small = (name: string): Promise<TestImage> =>
  makeImage({ 'etc/hostname': name, 'usr/bin/tool': 'binary', bin: { to: 'usr/bin' } }, key, { name });
/** Empty: it was replaced by another meanwhile. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
};
const distributed = (): MasterReport | undefined => reports.find((report) => report.kind === 'distributed');

describe('distributor', () => {
  it('installs a promoted image, reports it and has it in its heartbeat', async () => {
    const image = await small('first');
    const first = await distributor();
    await promote(promotionOf(image, [repository.put(image)]));
    const report = await until(distributed);
    expect(report).toMatchObject({
      node,
      name: 'first',
      version: 'v1',
      contentDigest: image.manifest.contentDigest,
      mountScriptDigest: image.manifest.mountScript.digest,
      downloadedBytes: image.archive.length,
      unpackedBytes: image.manifest.totals.bytes,
      attempt: 1,
    });
    const directory = join(storage, 'images/first/v1');
    expect(readdirSync(directory).sort()).toEqual(['manifest.json', 'mount.sh', 'root', 'signature.json']);
    expect(readFileSync(join(directory, 'root/etc/hostname'), 'utf8')).toBe('first');
    expect(readlinkSync(join(directory, 'root/bin'))).toBe('usr/bin');
    expect(lstatSync(join(directory, 'root/etc')).mtimeMs).toBe(1_700_000_000_000);
    await until(() => journal().length === 0);
    expect(readdirSync(join(storage, 'staging'))).toEqual([]);
    // The reserve is restored after the last entry of the journal is gone.
    await until(() => readdirSync(join(storage, 'locks')).length === 0);
    const heartbeat = await until(() => heartbeats.find(({ images }) => images.length === 1));
    expect(heartbeat).toMatchObject({
      datacenter: 'west',
      labels: { tier: 'ssd', datacenter: 'west' },
      images: [{ name: 'first', version: 'v1' }],
    });
    expect(heartbeat.freeBytes).toBeGreaterThan(0);
    expect(await first.readiness()).toMatchObject({ status: 200, missing: {} });
    expect(await first.end()).toBe(0);
  });

  it('takes promotions to its node, and ignores the others', async () => {
    const images = await Promise.all(['to-all', 'to-node', 'to-label', 'to-west', 'to-other', 'to-east'].map(small));
    const to = [
      undefined,
      ['sn-x', node],
      ['tier=ssd'],
      ['datacenter=west'],
      ['sn-x'],
      ['datacenter=east', 'tier=hdd'],
    ];
    await distributor();
    for (const [index, image] of images.entries())
      await promote(promotionOf(image, [repository.put(image, {}, `/${image.statement.name}`)], to[index]));
    await until(() => reports.length === 4);
    await until(() => journal().length === 0);
    expect(readdirSync(join(storage, 'images')).sort()).toEqual(['to-all', 'to-label', 'to-node', 'to-west']);
  });

  it('catches up on promotions from while it was away', async () => {
    const [before, meanwhile] = await Promise.all([small('before'), small('meanwhile')]);
    const first = await distributor();
    await promote(promotionOf(before, [repository.put(before, {}, '/before')], [node]));
    await until(distributed);
    await first.end();
    await promote(promotionOf(meanwhile, [repository.put(meanwhile, {}, '/meanwhile')], [node]));
    await distributor();
    await until(() => reports.find(({ name }) => name === 'meanwhile'));
    await until(() => heartbeats.find(({ images }) => images.length === 2));
    expect(reports.map(({ kind }) => kind)).toEqual(['distributed', 'distributed']);
  });

  it('has the files that two versions share once, on disk and in the file cache', async () => {
    const shared = randomBytes(3 * 1024 ** 2);
    const versions = await Promise.all(
      ['v1', 'v2'].map((version) =>
        makeImage({ 'usr/lib/big': shared, 'etc/version': version }, key, { name: 'twice', version }),
      ),
    );
    await distributor();
    for (const image of versions)
      await promote(promotionOf(image, [repository.put(image, {}, `/twice/${image.statement.version}`)], [node]));
    await until(() => reports.length === 2);
    const [first = '', second = ''] = versions.map(({ statement }) => join(storage, 'images/twice', statement.version));
    // One inode has one set of cached pages.
    expect(lstatSync(join(first, 'root/usr/lib/big')).ino).toBe(lstatSync(join(second, 'root/usr/lib/big')).ino);
    expect(lstatSync(join(storage, 'objects')).mode & 0o777).toBe(0o700);
    const bytes = (...paths: string[]): number =>
      Number(/\d+(?=\ttotal)/.exec(execFileSync('du', ['-bsc', ...paths], { encoding: 'utf8' }))?.[0]);
    expect(bytes(first, second) - bytes(first)).toBeLessThan(shared.length / 4);
    expect(bytes(first, second, join(storage, 'objects')) - bytes(first, second)).toBeLessThan(shared.length / 4);
  });

  it('finds damage in versions that share a file, keeps hosts from starting on them, and repairs both', async () => {
    const tree = { 'usr/lib/shared': 'what both have', 'usr/bin/tool': 'binary', bin: { to: 'usr/bin' } };
    const versions = await Promise.all(
      ['v1', 'v2'].map((version) => makeImage({ ...tree, 'etc/v': version }, key, { name: 'hurt', version })),
    );
    const first = await distributor();
    for (const image of versions)
      await promote(promotionOf(image, [repository.put(image, {}, `/hurt/${image.statement.version}`)], [node]));
    await until(() => reports.length === 2);
    await until(() => journal().length === 0);
    await first.end();
    const roots = ['v1', 'v2'].map((version) => join(storage, 'images/hurt', version, 'root'));
    const [root = '', other = ''] = roots;
    const path = join(root, 'usr/lib/shared');
    const { ino, mtime } = lstatSync(path);
    // The same size, time and mode: nothing but its content shows it.
    writeFileSync(path, 'what NONE have', { flag: 'r+' });
    utimesSync(path, mtime, mtime);
    rmSync(join(other, 'bin'));
    writeFileSync(join(root, 'etc/extra'), 'x');
    expect(fsck(storage)).toEqual({
      status: 1,
      stdout: expect.stringMatching(/hurt@v1 is DAMAGED: 2 problems[^]*digest[^]*hurt@v2 is DAMAGED/),
    });
    const away = repository.put(
      versions[0] as TestImage,
      { archive: (_, response) => void response.writeHead(503).end() },
      '/hurt/v1',
    );
    const second = await distributor({ PLINTH_SCRUB_HOURS: '0.0003' });
    await until(() => existsSync(join(root, '../damaged.json')));
    expect(JSON.parse(readFileSync(join(root, '../damaged.json'), 'utf8'))).toMatchObject({
      count: 2,
      problems: [
        { path: 'usr/lib/shared', problem: expect.stringContaining('digest') },
        { path: 'etc/extra', problem: expect.stringContaining('no such name') },
      ],
    });
    await until(() => heartbeats.at(-1)?.images.every(({ version }) => version !== 'v1'));
    await until(() => reports.some(({ kind, version }) => kind === 'failed' && version === 'v1'));
    expect(away).toBe(repository.put(versions[0] as TestImage, {}, '/hurt/v1'));
    await until(
      () =>
        roots.every((directory) => !existsSync(join(directory, '../damaged.json'))) &&
        heartbeats.at(-1)?.images.length === 2,
    );
    for (const directory of roots) {
      expect(readFileSync(join(directory, 'usr/lib/shared'), 'utf8')).toBe('what both have');
      expect(readlinkSync(join(directory, 'bin'))).toBe('usr/bin');
      expect(lstatSync(join(directory, 'usr/lib')).mtimeMs).toBe(1_700_000_000_000);
    }
    expect(existsSync(join(root, 'etc/extra'))).toBe(false);
    expect(lstatSync(path).ino).not.toBe(ino);
    expect(lstatSync(path).ino).toBe(lstatSync(join(other, 'usr/lib/shared')).ino);
    expect(fsck(storage)).toEqual({ status: 0, stdout: expect.stringContaining('hurt@v1 is sound\n') });
    expect(second.log.some(({ msg }) => msg.includes('nothing is started on it'))).toBe(true);
  });

  it('has another node of its data centre fetch a version first, and gets it from there', async () => {
    const image = await makeImage({ 'usr/lib/big': randomBytes(MIB), 'etc/hostname': 'near' }, key, { name: 'near' });
    const token = join(scratch, `token-${node}`);
    writeFileSync(token, 'a-token another-token', { mode: 0o600 });
    const served = { PLINTH_SERVE_PORT: '0', PLINTH_DOWNLOAD_TOKEN_FILE: token };
    const other = `${node}-b`;
    const seen: MasterReport[] = [];
    const addresses = new Map<string, string>();
    subscriptions.push(
      follow(MASTER_REPORTS, MasterReport, (report) => report.node === other && seen.push(report)),
      follow(STORAGE_HEARTBEATS, StorageHeartbeat, ({ node: from, servesAt = '' }) => addresses.set(from, servesAt)),
    );
    const second = { PLINTH_STORAGE_NODE: other, PLINTH_STORAGE_DIR: `${storage}-b`, PLINTH_SERVICE_ID: 'other' };
    const waiting = await distributor({ ...served, ...second });
    const first = await distributor(served);
    const urlOf = (name: string): string => `${addresses.get(name)}/images/near/v1`;
    await until(() => addresses.get(node) && addresses.get(other));
    const seeds = [node, other].map((name) => ({ url: urlOf(name), dataCenter: 'west', node: name }));
    let release: (() => void) | undefined;
    const held: Answer = (...exchange) => void (release = () => correctAnswer(...exchange));
    const promotion = promotionOf(image, [repository.put(image, { archive: held }, '/near')]);
    const state = producedOf(promotion, { seeds });
    await publishProduction(publisher, state);
    const answer = await until(() => release);
    await until(
      () => existsSync(join(`${storage}-b`, 'wanted')) && readdirSync(join(`${storage}-b`, 'wanted')).length > 1,
    );
    answer();
    await until(distributed);
    expect(seen).toEqual([]);
    await publishProduction(publisher, { ...state, sources: [...state.sources, ...seeds.slice(0, 1)] });
    await until(() => seen[0]);
    expect(seen).toMatchObject([{ kind: 'distributed', name: 'near', attempt: 1 }]);
    expect(readFileSync(join(`${storage}-b`, 'images/near/v1/root/etc/hostname'), 'utf8')).toBe('near');
    expect(repository.requests.filter(({ path }) => path.includes('/near/') && path.endsWith('.zst'))).toHaveLength(1);
    const asked = await fetch(`${urlOf(node)}/manifest.json`, { headers: { authorization: 'Bearer another-token' } });
    expect([asked.status, (await fetch(`${urlOf(node)}/manifest.json`)).status]).toEqual([200, 401]);
    expect(readdirSync(join(storage, 'packed'))).toHaveLength(1);
    expect([await first.end(), await waiting.end()]).toEqual([0, 0]);
    expect(existsSync(join(storage, 'packed'))).toBe(false);
    expect(existsSync(join(storage, 'production/.serving'))).toBe(false);
  });

  it('reports again when it is promoted again, without a download', async () => {
    const image = await small('again');
    const promotion = promotionOf(image, [repository.put(image, {}, '/again')], [node]);
    await distributor();
    await promote(promotion);
    await until(distributed);
    await promote(promotion);
    await until(() => reports.length === 2);
    expect(reports).toMatchObject([
      { downloadedBytes: image.archive.length },
      { kind: 'distributed', downloadedBytes: 0 },
    ]);
  });

  it('tries again by itself until the repository is back, and reports it', async () => {
    const image = await small('patience');
    let failuresLeft = 3;
    const source = repository.put(
      image,
      {
        archive: (...exchange) => (failuresLeft-- > 0 ? exchange[1].writeHead(503).end() : correctAnswer(...exchange)),
      },
      '/patience',
    );
    await distributor();
    await promote(promotionOf(image, [source], [node]));
    await until(distributed);
    expect(reports).toMatchObject([
      { kind: 'failed', reason: 'repository-unreachable', attempt: 1, retryInMs: expect.any(Number) },
      { kind: 'failed', reason: 'repository-unreachable', attempt: 2, retryInMs: expect.any(Number) },
      { kind: 'failed', reason: 'repository-unreachable', attempt: 3, retryInMs: expect.any(Number) },
      { kind: 'distributed', attempt: 4 },
    ]);
  });

  it.each([
    ['strike', 'digest-mismatch'],
    ['refused', 'repository-refused'],
  ])('gets it in the end, without a hand, when its source was wrong (%s) for a while', async (name, reason) => {
    const image = await small(name);
    let wrong = 4;
    const wrongAnswer: Answer = (request, response, body) => {
      if (wrong-- <= 0) return correctAnswer(request, response, body);
      if (name === 'strike') return correctAnswer(request, response, Buffer.alloc(body.length));
      response.writeHead(403).end();
    };
    await distributor();
    await promote(promotionOf(image, [repository.put(image, { archive: wrongAnswer }, `/${name}`)], [node]));
    await until(() => reports.find(({ kind }) => kind === 'distributed'));
    const failures = reports.filter(({ kind }) => kind === 'failed');
    expect(failures).toHaveLength(4);
    expect(failures.every((report) => report.reason === reason && (report.retryInMs ?? 0) > 0)).toBe(true);
    await until(() => journal().length === 0);
    expect(readdirSync(join(storage, 'staging'))).toEqual([]);
  });

  it('goes on after SIGKILL in the middle of an extraction, and leaves nothing', async () => {
    const image = await many('killed', 6_000);
    const source = repository.put(image, {}, '/killed');
    const first = await distributor();
    await promote(promotionOf(image, [source], [node]));
    const staging = join(storage, 'staging/killed-v1');
    await until(() => treesOf(staging).some((tree) => filesIn(join(staging, tree, 'root/srv')) > 300));
    await first.end('SIGKILL');
    expect(existsSync(join(storage, 'images/killed'))).toBe(false);
    expect(treesOf(staging)).toHaveLength(1);
    await until(() => decompressors().length === 0);
    const requests = repository.requests.length;
    await distributor();
    expect(treesOf(staging).length).toBeLessThanOrEqual(1);
    await until(distributed);
    expect(filesIn(join(storage, 'images/killed/v1/root/srv'))).toBe(6_000);
    await until(() => journal().length === 0);
    expect(readdirSync(join(storage, 'staging'))).toEqual([]);
    // The whole archive was there already.
    expect(repository.requests.slice(requests).filter(({ path }) => path.endsWith('.zst'))).toEqual([]);
    expect(reports).toMatchObject([{ kind: 'distributed', downloadedBytes: 0 }]);
  });

  it('stops in the middle of an extraction, and leaves only the download', async () => {
    const image = await many('stopped', 6_000);
    const first = await distributor();
    await promote(promotionOf(image, [repository.put(image, {}, '/stopped')], [node]));
    const staging = join(storage, 'staging/stopped-v1');
    await until(() => treesOf(staging).some((tree) => filesIn(join(staging, tree, 'root/srv')) > 300));
    expect(await first.end('SIGTERM')).toBe(0);
    // The extraction did not finish before the stop.
    expect(existsSync(join(storage, 'images/stopped/v1'))).toBe(false);
    expect(readdirSync(staging).sort()).toEqual(['download.part', 'download.part.json']);
    expect(decompressors()).toEqual([]);
    await distributor();
    await until(distributed);
  });

  it('keeps its heartbeat while it extracts', async () => {
    const image = await many('beating', 6_000);
    await distributor({ PLINTH_HEARTBEAT_SECONDS: '0.1' });
    await promote(promotionOf(image, [repository.put(image, {}, '/beating')], [node]));
    const staging = join(storage, 'staging/beating-v1');
    await until(() => treesOf(staging).some((tree) => filesIn(join(staging, tree, 'root/srv')) > 300));
    const before = heartbeats.length;
    await until(() => heartbeats.length > before + 1 || distributed());
    expect(distributed()).toBeUndefined();
    await until(distributed);
  });

  it('shares the work of a node between two, and never does it twice', async () => {
    const images = await Promise.all(Array.from({ length: 8 }, (_, index) => many(`shared-${index}`, 200)));
    await Promise.all([
      distributor({ PLINTH_SERVICE_ID: 'distributor-1', PLINTH_DOWNLOAD_STALL_SECONDS: '60' }),
      distributor({ PLINTH_SERVICE_ID: 'distributor-2', PLINTH_DOWNLOAD_STALL_SECONDS: '60' }),
    ]);
    const requests = repository.requests.length;
    for (const image of images)
      await promote(promotionOf(image, [repository.put(image, {}, `/${image.statement.name}`)], [node]));
    await until(() => reports.length >= images.length);
    await until(() => journal().length === 0);
    expect(reports.map(({ kind, name, message = '' }) => `${kind} ${name}${message}`).sort()).toEqual(
      images.map(({ statement }) => `distributed ${statement.name}`).sort(),
    );
    const downloads = repository.requests.slice(requests).filter(({ path }) => path.endsWith('.zst'));
    expect(downloads).toHaveLength(images.length);
    await until(() => readdirSync(join(storage, 'locks')).length === 0);
  });

  it('takes over from one that was killed', async () => {
    const image = await small('takeover');
    let first = true;
    const hanging: Answer = (request, response, body) => {
      if (!first) return correctAnswer(request, response, body);
      first = false;
      response.writeHead(200, { 'content-length': body.length });
      response.write(body.subarray(0, 10));
    };
    const victim = await distributor({ PLINTH_SERVICE_ID: 'distributor-1', PLINTH_DOWNLOAD_STALL_SECONDS: '60' });
    await promote(promotionOf(image, [repository.put(image, { archive: hanging }, '/takeover')], [node]));
    await until(() => !first);
    await distributor({ PLINTH_SERVICE_ID: 'distributor-2' });
    // The version is locked: no other distributor takes it or cleans it up.
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(reports).toEqual([]);
    expect(existsSync(join(storage, 'staging/takeover-v1/download.part'))).toBe(true);
    await victim.end('SIGKILL');
    await until(distributed);
  });

  it('keeps its report while the bus is away', async () => {
    const image = await many('offline', 50);
    let release: (() => void) | undefined;
    const waiting: Answer = (request, response, body) => {
      release = () => correctAnswer(request, response, body);
    };
    await distributor({ PLINTH_DOWNLOAD_STALL_SECONDS: '60' });
    await promote(promotionOf(image, [repository.put(image, { archive: waiting }, '/offline')], [node]));
    const answer = await until(() => release);
    await nats.pause();
    try {
      answer();
      await until(() => existsSync(join(storage, 'images/offline/v1')));
      await until(() => journal().some((file) => textOf(join(storage, 'wanted', file)).includes('"distributed"')));
    } finally {
      await nats.start();
    }
    await until(distributed);
    await until(() => journal().length === 0);
  });

  it('does not install a revoked version, and keeps one that is installed', async () => {
    const [kept, late] = await Promise.all([small('kept'), small('late')]);
    await distributor();
    await promote(promotionOf(kept, [repository.put(kept, {}, '/kept')], [node]));
    await until(distributed);
    let isAsked = false;
    const never: Answer = () => void (isAsked = true);
    await promote(promotionOf(late, [repository.put(late, { archive: never }, '/late')], [node]));
    await until(() => isAsked);
    for (const name of ['kept', 'late']) await publishProduction(publisher, ended(name, 'v1', 'revoked'));
    await until(() => heartbeats.find(({ images }) => images[0]?.revoked === true));
    expect(existsSync(join(storage, 'images/kept/v1/root/etc/hostname'))).toBe(true);
    await until(() => running[0]?.log.some(({ msg }) => msg.includes('revoked')));
    await until(() => journal().length === 0);
    expect(existsSync(join(storage, 'images/late'))).toBe(false);
  });

  it('goes on with other versions while it can not write that one is retired', async () => {
    const [stuck, next] = await Promise.all([small('stuck'), small('next')]);
    await distributor();
    await promote(promotionOf(stuck, [repository.put(stuck, {}, '/stuck')], [node]));
    await until(distributed);
    mkdirSync(join(storage, 'retired/stuck@v1.json'));
    await publishProduction(publisher, ended('stuck', 'v1', 'retired'));
    await until(() => running[0]?.log.some(({ msg }) => msg.includes('was not followed')));
    await promote(promotionOf(next, [repository.put(next, {}, '/next')], [node]));
    await until(() => reports.some(({ kind, name }) => kind === 'distributed' && name === 'next'));
  });

  it('cleans up after former processes, and sets aside what it can not read', async () => {
    mkdirSync(join(storage, 'staging/old-v1/tree-abc/root'), { recursive: true });
    mkdirSync(join(storage, 'staging/no image'), { recursive: true });
    writeFileSync(join(storage, 'staging/old-v1/download.part'), 'x');
    mkdirSync(join(storage, 'wanted'), { recursive: true });
    writeFileSync(join(storage, 'wanted/broken@v1.0000000000000000.json'), '{"schema":1}');
    mkdirSync(join(storage, 'images/half/v1/root'), { recursive: true });
    const first = await distributor();
    expect(readdirSync(join(storage, 'staging'))).toEqual([]);
    expect(journal()).toEqual(['broken@v1.0000000000000000.json.unreadable']);
    const heartbeat = await until(() => heartbeats[0]);
    expect(heartbeat.images).toEqual([]);
    expect(first.log.some(({ msg }) => msg.includes('damaged'))).toBe(true);
  });

  it('takes, keeps and reports a promotion on a disk without a byte left, and goes on when there is room', async () => {
    mkdirSync(storage);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'plinth-test', storage]);
    try {
      const image = await makeImage({ 'usr/lib/big': randomBytes(3 * 1024 ** 2) }, key, { name: 'full' });
      const first = await distributor();
      const filler = openSync(join(storage, 'filler'), 'w');
      expect(() => {
        for (;;) writeSync(filler, Buffer.alloc(4_096));
      }).toThrow('ENOSPC');
      closeSync(filler);
      await promote(promotionOf(image, [repository.put(image, {}, '/full')], [node]));
      await until(() => reports.length >= 2);
      expect(reports[0]).toMatchObject({ kind: 'failed', reason: 'no-space', attempt: 1 });
      rmSync(join(storage, 'filler'));
      await until(distributed);
      await until(() => journal().length === 0);
      expect(readdirSync(join(storage, 'staging'))).toEqual([]);
      await until(() => existsSync(join(storage, 'wanted/.reserve')));
      await first.end();
    } finally {
      await Promise.all(running.map((started) => started.end('SIGKILL')));
      execFileSync('umount', [storage]);
    }
  });

  it.each<[string, (directory: string) => Record<string, string>]>([
    ['not set', () => ({})],
    ['no path', () => ({ PLINTH_TRUSTED_KEYS: 'keys' })],
    ['a directory that is missing', (directory) => ({ PLINTH_TRUSTED_KEYS: `${directory}/nowhere` })],
    ['a directory without a key', (directory) => ({ PLINTH_TRUSTED_KEYS: directory })],
  ])('does not start when PLINTH_TRUSTED_KEYS is %s', (_what, variables) => {
    const empty = join(scratch, `empty-${node}`);
    mkdirSync(empty);
    const refused = refusedDistributor({
      NATS_URL: nats.url,
      PLINTH_STORAGE_NODE: node,
      PLINTH_STORAGE_DIR: storage,
      ...variables(empty),
    });
    expect(refused).toEqual({ status: 78, stderr: expect.stringContaining('PLINTH_TRUSTED_KEYS') });
  });

  it('is not ready while there is no trusted key, and installs as soon as there is one again', async () => {
    const image = await small('rotated');
    const keys = join(scratch, `keys-${node}`);
    trust(keys, key);
    const first = await distributor({ PLINTH_TRUSTED_KEYS: keys });
    const file = join(keys, `${key.id}.pem`);
    renameSync(file, `${file}.away`);
    expect(await first.readiness()).toMatchObject({
      status: 503,
      missing: { 'trusted-keys': expect.stringContaining(keys) },
    });
    await promote(promotionOf(image, [repository.put(image)]));
    await until(() => reports.find((report) => report.kind === 'failed' && report.reason === 'unknown-key'));
    renameSync(`${file}.away`, file);
    await until(distributed);
    expect((await first.readiness()).status).toBe(200);
  });
});

/** As an operator runs it on the storage node. */
function fsck(directory: string): { status: number | null; stdout: string } {
  const program = join(process.cwd(), 'apps/cli/dist/main.js');
  const { status, stdout } = spawnSync(process.execPath, [program, 'storage', 'fsck', '--dir', directory], {
    encoding: 'utf8',
  });
  return { status, stdout };
}

function journal(): string[] {
  return readdirSync(join(storage, 'wanted')).filter((file) => file !== '.reserve');
}

/** An image of many small files. */
function many(name: string, files: number): Promise<TestImage> {
  const tree = Object.fromEntries(Array.from({ length: files }, (_, index) => [`srv/${index}`, randomBytes(2_000)]));
  return makeImage(tree, key, { name });
}

function treesOf(staging: string): string[] {
  return existsSync(staging) ? readdirSync(staging).filter((file) => file.startsWith('tree-')) : [];
}

function filesIn(directory: string): number {
  return existsSync(directory) ? readdirSync(directory).length : 0;
}

/** Processes that read an archive of this storage directory. */
function decompressors(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return (
        readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'zstd' &&
        readlinkSync(`/proc/${pid}/fd/0`).startsWith(storage)
      );
    } catch {
      // The process has ended meanwhile.
      return false;
    }
  });
}

it('measures the volumes of each tenant, and no other directories', async () => {
  await distributor({ PLINTH_DISK_USE_SECONDS: '0.2' });
  const volume = (
    tenant: string,
    bytes: number,
    marker = JSON.stringify({ containerId: randomBytes(16).toString('hex'), tenant }),
  ): void => {
    const path = join(storage, 'volumes', randomBytes(16).toString('hex'));
    mkdirSync(join(path, 'data'), { recursive: true });
    writeFileSync(join(path, 'data', 'file\n1\tx'), Buffer.alloc(bytes, 1));
    writeFileSync(join(path, 'volume.json'), marker);
  };
  volume('one', 1024 ** 2);
  volume('one', 1024 ** 2);
  volume('two', 512 * 1024);
  volume('', 1024 ** 2, '{"tenant": "../x"}');
  volume('', 1024 ** 2, 'no json');
  mkdirSync(join(storage, 'volumes', '.deleted-x'));
  const measured = await until(() => heartbeats.findLast(({ tenants }) => tenants?.length === 2)?.tenants);
  const take = Object.fromEntries(
    measured.map(({ tenant, bytes }) => [tenant, Math.round(bytes / 1024 ** 2 / 0.5) * 0.5]),
  );
  expect(take).toEqual({ one: 2, two: 0.5 });
});
