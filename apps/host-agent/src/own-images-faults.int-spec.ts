/**
 * A store of a host on a small file system of its own: a disk that is full, kills at any instant, long names.
 * `PLINTH_TEST_KILLS` says how many kills there are; two where tests take turns.
 */
import type { ChildProcess } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { desiredHostImages, desiredImage, type HostImageReport, type HostImages } from '@plinth/contracts';
import { checkVersion, FileReader } from '@plinth/image-store';
import { correctAnswer, HostileRepository, makeKey, type TestImage, trust } from '@plinth/image-transfer/testing';
import { type LoopFileSystem, loopFileSystem } from '@plinth/testkit';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';
import { makeRunnableImage, productionOf } from './testing/runnable-image.js';

const MIB = 1024 ** 2;
const KILLS = Number(process.env['PLINTH_TEST_KILLS'] ?? '2');
const LONG = 'n'.repeat(255);
const key = makeKey();
const scratch = mkdtempSync(join(tmpdir(), 'plinth-faults-'));
const ids: string[] = [];
let bench: AgentBench;
let disk: LoopFileSystem;
let agent: ChildProcess;
let repository: HostileRepository;
let images: TestImage[];

beforeAll(async () => {
  bench = await AgentBench.open();
  trust(bench.keys, key);
  disk = loopFileSystem(scratch, 'ext4', 128);
  repository = await new HostileRepository().start();
  images = await Promise.all(
    [1, 2].map((number) =>
      makeRunnableImage(key, `v${number}`, {
        'usr/lib/own': randomBytes(8 * MIB),
        [`usr/${LONG}/${LONG}`]: `v${number}`,
      }),
    ),
  );
  mkdirSync(join(bench.storage, 'images'));
  bench.settings = {
    ...{ PLINTH_IMAGES: 'own', PLINTH_IMAGE_DIR: join(disk.path, 'store'), PLINTH_RETRY_MAX_SECONDS: '0.5' },
    PLINTH_IMAGE_CACHE_BYTES: String(100 * MIB),
  };
  agent = bench.startAgent();
});

afterAll(async () => {
  await bench.close();
  await repository.stop();
  expect(leftovers(bench, ids)).toEqual([]);
  disk.close();
  rmSync(scratch, { recursive: true });
});

const store = (...parts: readonly string[]): string => join(disk.path, 'store', ...parts);
const imageOf = (number: number): TestImage => {
  const image = images[number - 1];
  if (!image) throw new Error(`there is no image ${number}`);
  return image;
};

async function promote(number: number, hold?: Promise<void>): Promise<void> {
  const image = imageOf(number);
  const url = repository.put(
    image,
    {
      archive: (request, response, body) => {
        if (!hold) return correctAnswer(request, response, body);
        response.writeHead(200, { 'content-length': body.length }).write(body.subarray(0, MIB));
        void hold.then(() => response.end(body.subarray(MIB)));
      },
    },
    `/images/tiny/v${number}`,
  );
  await bench.publishDesired(desiredImage('tiny', `v${number}`), productionOf(image, [url]));
}

const wish = (wishes: Partial<HostImages>): Promise<void> =>
  bench.publishDesired(desiredHostImages(bench.host), {
    ...{ host: bench.host, pinned: [], ahead: [], evict: [] },
    ...wishes,
  });

function reported(state: HostImageReport['state'], image: string, after: number): Promise<HostImageReport> {
  const fits = (report: HostImageReport): boolean => report.image === image && report.state === state;
  return waitFor(() => bench.imageReports.slice(after).find(fits), `report ${state} of ${image}`);
}

/** What is wrong with the store when nothing is in progress. */
function problems(): readonly unknown[] {
  const versions = readdirSync(store('images/tiny')).map((version) => store('images/tiny', version));
  const wrong = versions.flatMap(
    (version): readonly unknown[] => checkVersion(version, store('objects'), new FileReader()) ?? [version],
  );
  const objects = readdirSync(store('objects'), { recursive: true, encoding: 'utf8' }).map((name) =>
    statSync(store('objects', name)),
  );
  const alone = objects.filter((found) => found.isFile() && found.nlink === 1);
  return [...wrong, ...readdirSync(store('staging')), ...alone.map(({ size }) => `an object of ${size} bytes alone`)];
}

it('runs an image with names of 255 bytes', async () => {
  await promote(1);
  const { contentDigest } = imageOf(1).statement;
  const config = bench.config({ image: 'tiny@v1', contentDigest, timezone: 'Etc/UTC' });
  ids.push(config.containerId);
  await bench.publishConfig(config);
  await bench.report(config.containerId, 'started');
  const shown = await bench.exec({ containerId: config.containerId, command: ['cat', `/usr/${LONG}/${LONG}`] });
  expect(shown.stdout).toBe('v1');
});

it('reports a disk that becomes full while it fills, and goes on when there is room; what runs goes on', async () => {
  const running = bench.reports.filter(({ kind }) => kind === 'started').at(-1);
  let release = (): void => undefined;
  await promote(2, new Promise((resolve) => (release = resolve)));
  const seen = bench.imageReports.length;
  await wish({ pinned: ['tiny@v2'] });
  await waitFor(
    () => statSync(store('staging/tiny-v2/download.part'), { throwIfNoEntry: false })?.size === MIB || undefined,
    'the beginning of the download',
  );
  const filler = join(disk.path, 'filler');
  const { bavail, bsize } = statfsSync(disk.path);
  writeFileSync(filler, Buffer.alloc((bavail - 256) * bsize, 1));
  release();
  expect(await reported('failed', 'tiny@v2', seen)).toMatchObject({
    reason: 'no-space',
    retryInMs: expect.any(Number),
  });
  expect(existsSync(`/proc/${running?.pid}/exe`)).toBe(true);
  await promote(2);
  rmSync(filler);
  await reported('cached', 'tiny@v2', seen);
  expect(await waitFor(() => (problems().length === 0 ? [] : undefined), 'a clean store')).toEqual([]);
});

it('is whole after kills at any instant of filling and removing', async () => {
  const running = bench.reports.filter(({ kind }) => kind === 'started').at(-1);
  for (let kill = 0; kill < KILLS; kill++) {
    for (const change of [{ evict: ['tiny@v2'] }, { pinned: ['tiny@v2'] }]) {
      const seen = bench.imageReports.length;
      await wish(change);
      // Between the wish and its end, with luck; a kill before or after it has to do no harm either.
      await delay(randomInt(150));
      await bench.stopAgent(agent, 'SIGKILL');
      agent = bench.startAgent();
      const isThere = 'pinned' in change;
      await waitFor(
        () => (existsSync(store('images/tiny/v2/signature.json')) === isThere ? true : undefined),
        isThere ? 'it is there' : 'it is gone',
      );
      // A report may have died with the process: what counts is the store.
      expect(bench.imageReports.slice(seen).filter(({ state }) => state === 'failed')).toEqual([]);
    }
    expect(await waitFor(() => (problems().length === 0 ? [] : undefined), 'a clean store')).toEqual([]);
    expect(existsSync(`/proc/${running?.pid}/exe`)).toBe(true);
  }
});
