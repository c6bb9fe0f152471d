/** An agent that fills a store of its own, with real images, containers and processes. */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import {
  desiredHostImages,
  desiredImage,
  type HostHeartbeat,
  hostHeartbeat,
  type HostImageReport,
  type ProductionImage,
} from '@plinth/contracts';
import {
  type Answer,
  correctAnswer,
  HostileRepository,
  makeKey,
  type TestImage,
  trust,
} from '@plinth/image-transfer/testing';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';
import { makeRunnableImage, productionOf } from './testing/runnable-image.js';

const MIB = 1024 ** 2;
const key = makeKey();
const ids: string[] = [];
let bench: AgentBench;
let agent: ChildProcess;
let repository: HostileRepository;
/** Each has about 3 MiB of its own and 3 MiB of programs that all have. */
let images: TestImage[];

beforeAll(async () => {
  bench = await AgentBench.open();
  trust(bench.keys, key);
  repository = await new HostileRepository().start();
  images = await Promise.all(
    [1, 2, 3, 4, 5, 6].map((number) =>
      makeRunnableImage(key, `v${number}`, { 'usr/lib/own': randomBytes(3 * MIB), 'etc/version': `v${number}\n` }),
    ),
  );
  // The mark of a storage node that is mounted.
  mkdirSync(join(bench.storage, 'images'));
  const tokenFile = join(bench.directory, 'download.token');
  writeFileSync(tokenFile, 'a-token\n', { mode: 0o600 });
  bench.settings = {
    ...{ PLINTH_IMAGES: 'own', PLINTH_RETRY_MAX_SECONDS: '1', PLINTH_HEARTBEAT_SECONDS: '1' },
    ...{ PLINTH_SERVE_PORT: '0', PLINTH_DOWNLOAD_TOKEN_FILE: tokenFile },
  };
  agent = bench.startAgent();
});

afterAll(async () => {
  await bench.close();
  await repository.stop();
  expect(leftovers(bench, ids)).toEqual([]);
});

/** The next one of the host that fits. */
async function heartbeat(fits: (beat: HostHeartbeat) => boolean, what: string): Promise<HostHeartbeat> {
  for await (const message of bench.connection.subscribe(hostHeartbeat(bench.host))) {
    const beat = message.json<HostHeartbeat>();
    if (fits(beat)) return beat;
  }
  throw new Error(`not before the end of the connection: ${what}`);
}

const imageOf = (number: number): TestImage => {
  const image = images[number - 1];
  if (!image) throw new Error(`there is no image ${number}`);
  return image;
};
const nameOf = ({ statement }: TestImage): string => `${statement.name}@${statement.version}`;
const store = (): string => join(bench.hostDirectory, 'image-store');
const standing = (number: number): string => join(store(), 'images/tiny', `v${number}`);

function newConfig(number: number, overrides: Record<string, unknown> = {}): ReturnType<AgentBench['config']> {
  const image = imageOf(number);
  const { contentDigest } = image.statement;
  const config = bench.config({ image: nameOf(image), contentDigest, timezone: 'Etc/UTC', ...overrides });
  ids.push(config.containerId);
  return config;
}

async function promote(
  number: number,
  answers: { archive?: Answer } = {},
  changes: Partial<ProductionImage> = {},
): Promise<void> {
  const image = imageOf(number);
  const url = repository.put(image, answers, `/images/tiny/v${number}`);
  const value = productionOf(image, [url], changes);
  await bench.publishDesired(desiredImage(value.name, value.version), value);
}

const requestsOf = (number: number): number =>
  repository.requests.filter(({ path }) => path.startsWith(`/images/tiny/v${number}/`) && path.endsWith('.zst')).length;

function reported(number: number, state: HostImageReport['state'], after = 0): Promise<HostImageReport> {
  const fits = (report: HostImageReport): boolean => report.image === nameOf(imageOf(number)) && report.state === state;
  return waitFor(() => bench.imageReports.slice(after).find(fits), `report ${state} of v${number}`);
}

/** Answers when it is released; before that, `sent` bytes come. */
function held(sent = 0): { readonly answer: Answer; readonly asked: Promise<void>; release(): void } {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let ask = (): void => undefined;
  const asked = new Promise<void>((resolve) => (ask = resolve));
  const answer: Answer = (request, response, body) => {
    if (sent > 0) {
      // The tag of the complete answer: what came is continued by it.
      const etag = `"${body.length}-${body.subarray(-16).toString('hex')}"`;
      response.writeHead(200, { etag, 'content-length': body.length });
      response.write(body.subarray(0, sent));
    }
    ask();
    void released.then(() => (sent > 0 ? response.end(body.subarray(sent)) : correctAnswer(request, response, body)));
  };
  return { answer, asked, release };
}

it('starts containers when their image is there, one download for all, and others meanwhile', async () => {
  await promote(1);
  const first = newConfig(1);
  await bench.publishConfig(first);
  await bench.report(first.containerId, 'started');

  const slow = held();
  await promote(2, { archive: slow.answer });
  const waiting = [newConfig(2), newConfig(2)];
  await Promise.all(waiting.map((config) => bench.publishConfig(config)));
  await slow.asked;
  for (const { containerId } of waiting)
    expect(await bench.report(containerId, 'starting')).toMatchObject({
      message: 'tiny@v2 is being fetched to this host',
    });

  const other = newConfig(1);
  await bench.publishConfig(other);
  await bench.report(other.containerId, 'started');
  await bench.publishConfig({ ...other, generation: 2, desired: 'stopped' });
  await bench.report(other.containerId, 'stopped');
  expect(existsSync(standing(2))).toBe(false);

  slow.release();
  await Promise.all(waiting.map(({ containerId }) => bench.report(containerId, 'started')));
  expect(requestsOf(2)).toBe(1);
  expect(await reported(2, 'cached')).toMatchObject({ host: bench.host, downloadedBytes: expect.any(Number) });
  const shown = await bench.exec({ containerId: waiting[0]?.containerId ?? '', command: ['cat', '/etc/version'] });
  expect(shown.stdout).toBe('v2\n');
  const { images: there } = await heartbeat(({ images: found }) => found?.length === 2, 'both are there');
  expect(there?.toSorted()).toEqual(['tiny@v1', 'tiny@v2']);
});

it('serves what it has to other hosts, for the token, and to those that do not believe it', async () => {
  const { servesAt } = await heartbeat(({ servesAt: url }) => url !== undefined, 'it serves');
  const base = `${servesAt}/images/tiny/v1`;
  expect((await fetch(`${base}/signature.json`)).status).toBe(401);
  const headers = { authorization: 'Bearer a-token' };
  expect((await fetch(`${base}/signature.json`, { headers })).status).toBe(200);
  expect((await fetch(`${servesAt}/images/tiny/v9/signature.json`, { headers })).status).toBe(404);

  const other = `${bench.host}-b`;
  // Nobody but the first host has the version.
  bench.settingsOf.set(other, { PLINTH_SERVICE_ID: 'host-agent-b' });
  const second = bench.startAgent(other);
  const value = productionOf(imageOf(1), [`${repository.url}/images/gone/v1`]);
  const source = { url: base, node: bench.host, dataCenter: 'default' };
  await bench.publishDesired(desiredImage('tiny', 'v1'), { ...value, sources: [...value.sources, source] });
  const before = requestsOf(1);
  await bench.publishDesired(desiredHostImages(other), { host: other, pinned: ['tiny@v1'], ahead: [], evict: [] });
  const report = await waitFor(() => bench.imageReports.find(({ host }) => host === other), 'the other host has it');
  expect(report).toMatchObject({ state: 'cached', source: base });
  expect(requestsOf(1)).toBe(before);
  expect(await bench.stopAgent(second)).toBe(0);

  // Two agents would remove what the containers of the other one run on.
  bench.settingsOf.set(other, { PLINTH_SERVICE_ID: 'host-agent-b', PLINTH_IMAGE_DIR: store() });
  const third = bench.startAgent(other);
  const [code] = (await once(third, 'exit')) as [number];
  expect(code).toBe(78);
  await promote(1);
});

it('reports why an image could not be fetched, and starts the container when it can be', async () => {
  await promote(3, { archive: (_, response) => void response.writeHead(404).end() });
  const config = newConfig(3);
  await bench.publishConfig(config);
  const failed = await bench.report(config.containerId, 'failed');
  expect(failed).toMatchObject({ reason: 'image-unavailable', retryInMs: expect.any(Number) });
  expect(failed.message).toMatch(/^tiny@v3 could not be fetched \(repository-refused\): .*PLINTH_DOWNLOAD_TOKEN_FILE$/);
  expect(await reported(3, 'failed')).toMatchObject({ reason: 'repository-refused' });
  await promote(3);
  await bench.report(config.containerId, 'started');

  const unknown = newConfig(4);
  await bench.publishConfig(unknown);
  expect(await bench.report(unknown.containerId, 'failed')).toMatchObject({ reason: 'image-missing' });
  await bench.publishConfig({ ...unknown, generation: 2, desired: 'removed', deleteData: true });
  await bench.report(unknown.containerId, 'removed');
});

it('runs on while the image of an update is fetched', async () => {
  const config = newConfig(1, { runGeneration: 1 });
  await bench.publishConfig(config);
  const before = await bench.report(config.containerId, 'started');
  const slow = held();
  await promote(4, { archive: slow.answer });
  const { image, contentDigest, runGeneration } = config;
  const update = {
    updateId: 'c'.repeat(32),
    knownGood: { image, contentDigest, runGeneration },
    stableSeconds: 0,
    soakSeconds: 0,
  };
  const to = imageOf(4).statement;
  await bench.publishConfig({
    ...{ ...config, generation: 2, runGeneration: 2, update },
    ...{ image: nameOf(imageOf(4)), contentDigest: to.contentDigest },
  });
  await slow.asked;
  expect(await bench.report(config.containerId, 'started', { generation: 2 })).toMatchObject({ pid: before.pid });
  slow.release();
  const after = await bench.report(config.containerId, 'updated');
  expect(after).toMatchObject({ image: 'tiny@v4', updateId: update.updateId });
});

it('goes on after it was killed in a download, with the bytes that are there', async () => {
  const slow = held(MIB);
  await promote(5, { archive: slow.answer });
  const config = newConfig(5);
  await bench.publishConfig(config);
  await slow.asked;
  await waitFor(() => {
    const part = statSync(join(store(), 'staging/tiny-v5/download.part'), { throwIfNoEntry: false });
    return part?.size === MIB ? part : undefined;
  }, 'the beginning of the download');
  const beat = await heartbeat(({ transfers = [] }) => transfers[0]?.bytes === MIB, 'it is being fetched');
  const source = `${repository.url}/images/tiny/v5`;
  const ofBytes = imageOf(5).statement.archiveBytes;
  expect(beat.transfers).toEqual([{ image: 'tiny@v5', source, bytes: MIB, ofBytes }]);
  const running = bench.reports.filter(({ kind }) => kind === 'started').at(-1);
  await bench.stopAgent(agent, 'SIGKILL');
  expect(existsSync(`/proc/${running?.pid}/exe`)).toBe(true);

  await promote(5);
  agent = bench.startAgent();
  await bench.report(config.containerId, 'started');
  expect(repository.requests).toContainEqual(expect.objectContaining({ range: `bytes=${MIB}-`, status: 206 }));
  expect(existsSync(`/proc/${running?.pid}/exe`)).toBe(true);
  expect(
    await waitFor(() => (readdirSync(join(store(), 'staging')).length === 0 ? [] : undefined), 'clean staging'),
  ).toEqual([]);
});

it('fetches what is damaged again, and starts nothing on it before', async () => {
  await bench.stopAgent(agent);
  const file = join(standing(1), 'root/usr/lib/own');
  const whole = readFileSync(file);
  writeFileSync(file, randomBytes(3 * MIB));
  const before = requestsOf(1);
  const slow = held();
  await promote(1, { archive: slow.answer });
  bench.settings = { ...bench.settings, PLINTH_SCRUB_HOURS: '0.0002', PLINTH_SCRUB_MIB_PER_SECOND: '1000' };
  agent = bench.startAgent();
  await slow.asked;
  expect(existsSync(join(standing(1), 'damaged.json'))).toBe(true);
  const config = newConfig(1);
  await bench.publishConfig(config);
  await bench.report(config.containerId, 'starting');
  slow.release();
  await bench.report(config.containerId, 'started');
  expect(readFileSync(file).equals(whole)).toBe(true);
  expect(existsSync(join(standing(1), 'damaged.json'))).toBe(false);
  expect(requestsOf(1)).toBe(before + 1);
});

it('removes what is retired or least useful when nothing uses it, and refuses what can have no room', async () => {
  const stop = async (containerId: string): Promise<void> => {
    const config = JSON.parse(
      readFileSync(join(bench.hostDirectory, 'containers', containerId, 'config.json'), 'utf8'),
    );
    await bench.publishConfig({ ...config, generation: config.generation + 1, desired: 'removed', deleteData: true });
    await bench.report(containerId, 'removed');
  };
  for (const containerId of [...ids])
    if (!bench.reports.some((report) => report.containerId === containerId && report.kind === 'removed'))
      await stop(containerId);
  // Nothing uses them any more; what nobody asks for stays.
  expect(readdirSync(join(store(), 'images/tiny')).toSorted()).toEqual(['v1', 'v2', 'v3', 'v4', 'v5']);
  await promote(5, {}, { state: 'retired', sources: [] });
  await reported(5, 'evicted');
  expect(existsSync(standing(5))).toBe(false);

  // Objects of three versions fit: those that all have once, and those of each.
  const { entries } = imageOf(1).manifest;
  const common = entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0) - 3 * MIB;
  await bench.stopAgent(agent);
  bench.settings = { ...bench.settings, PLINTH_IMAGE_CACHE_BYTES: String(common + 10 * MIB) };
  const seen = bench.imageReports.length;
  agent = bench.startAgent();
  const { host } = bench;
  await bench.publishDesired(desiredHostImages(host), { host, pinned: ['tiny@v1'], ahead: [], evict: [] });
  const config = newConfig(2);
  await bench.publishConfig(config);
  await bench.report(config.containerId, 'started');
  await promote(6);
  const another = newConfig(6);
  await bench.publishConfig(another);
  await bench.report(another.containerId, 'started');
  await reported(3, 'evicted', seen);
  await reported(4, 'evicted', seen);
  expect(readdirSync(join(store(), 'images/tiny')).toSorted()).toEqual(['v1', 'v2', 'v6']);

  // What two versions share was not known before: the store is larger now than it may be, and takes no more.
  const third = newConfig(3);
  await bench.publishConfig(third);
  await bench.report(third.containerId, 'started');
  const refused = newConfig(4);
  await bench.publishConfig(refused);
  expect(await bench.report(refused.containerId, 'failed')).toMatchObject({
    reason: 'no-space',
    message: expect.stringContaining('PLINTH_IMAGE_CACHE_BYTES'),
  });
  const ran = bench.reports.filter(({ kind, containerId }) => kind === 'started' && containerId === config.containerId);
  expect(existsSync(`/proc/${ran.at(-1)?.pid}/exe`)).toBe(true);
});
