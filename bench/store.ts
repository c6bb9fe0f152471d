/**
 * `npm run bench:store`: starts on a host's own store beside starts on an attached storage node, in turn; and starts on it
 * while an image is fetched, with how long the agent's event loop stood still. Agents and containers are real, the bus is
 * a server of its own, and the image's repository is in this process.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { desiredImage } from '@plinth/contracts';
import { AgentBench, makeRunnableImage, productionOf } from '@plinth/host-agent/testing';
import { HostileRepository, makeKey, type TestImage, trust } from '@plinth/image-transfer/testing';
import { freePort } from '@plinth/local-servers';
import { percentile, row } from './system.js';

const ROUNDS = Number(process.env['PLINTH_BENCH_ROUNDS'] ?? 60);
const WARM_UP = 5;
const FILES = Number(process.env['PLINTH_BENCH_FILES'] ?? 5_000);
const MEBIBYTES = Number(process.env['PLINTH_BENCH_MIB'] ?? 200);
const OWN = 'own';
const ATTACHED = 'attached';

const bench = await AgentBench.open();
const repository = await new HostileRepository().start();
const port = await freePort();
try {
  const key = makeKey();
  trust(bench.keys, key);
  const small = await makeRunnableImage(key, 'v1');
  mkdirSync(join(bench.storage, 'images'));
  bench.settingsOf.set(OWN, { PLINTH_IMAGES: 'own', PLINTH_HTTP_PORT: String(port) });
  for (const host of [OWN, ATTACHED]) bench.startAgent(host);
  await promote(small);
  await start(OWN, small);
  const standing = join(bench.hostDirectoryOf(OWN), 'image-store/images');
  execFileSync('cp', ['--archive', standing, bench.storage]);
  await compare(small);
  await fillMeanwhile(small);
} finally {
  await bench.close();
  await repository.stop();
}

async function compare(image: TestImage): Promise<void> {
  const times = { [OWN]: [] as number[], [ATTACHED]: [] as number[] };
  for (let round = -WARM_UP; round < ROUNDS; round++)
    for (const host of round % 2 === 0 ? ([OWN, ATTACHED] as const) : ([ATTACHED, OWN] as const)) {
      const ms = await start(host, image);
      if (round >= 0) times[host].push(ms);
    }
  row(`config → started, load ${load()}`, 'p50 ms', 'p90 ms');
  for (const [host, measured] of Object.entries(times)) row(host, percentile(measured, 0.5), percentile(measured, 0.9));
}

async function fillMeanwhile(image: TestImage): Promise<void> {
  const names = Array.from({ length: FILES }, (_, index) => `usr/share/many/${index % 100}/file-${index}`);
  const bytes = Math.floor((MEBIBYTES * 1024 ** 2) / FILES);
  const large = await makeRunnableImage(
    makeTrusted(),
    'v2',
    Object.fromEntries(names.map((name) => [name, randomBytes(bytes)])),
  );
  const idle = await startsUntil(image, (count) => count === 20);
  await longestStallMs();
  await promote(large);
  const begun = performance.now();
  let took: number | undefined;
  const waiting = start(OWN, large).then(() => (took = performance.now() - begun));
  const during = await startsUntil(image, () => took !== undefined);
  const stall = await longestStallMs();
  await waiting;
  console.log('');
  row(`image of ${MEBIBYTES} MiB in ${FILES} files, load ${load()}`, 'ms');
  row('config → started, image fetched meanwhile', took ?? Number.NaN);
  row('longest stall of the event loop', stall);
  row('other starts: p50, none fetched', percentile(idle, 0.5));
  row(`other starts: p50, while it is (${during.length})`, percentile(during, 0.5));
  row('other starts: longest, while it is', Math.max(...during));
}

function makeTrusted(): ReturnType<typeof makeKey> {
  const key = makeKey();
  trust(bench.keys, key);
  return key;
}

async function startsUntil(image: TestImage, isOver: (count: number) => boolean): Promise<number[]> {
  const times: number[] = [];
  while (!isOver(times.length)) times.push(await start(OWN, image));
  return times;
}

/** @returns milliseconds from the config to the report that it runs; it is removed again */
async function start(host: string, { statement }: TestImage): Promise<number> {
  const { name, version, contentDigest } = statement;
  const config = bench.config({ host, image: `${name}@${version}`, contentDigest, timezone: 'Etc/UTC' });
  const begun = performance.now();
  await bench.publishConfig(config);
  await bench.report(config.containerId, 'started');
  const ms = performance.now() - begun;
  await bench.publishConfig({ ...config, generation: 2, desired: 'removed', deleteData: true });
  await bench.report(config.containerId, 'removed');
  return ms;
}

async function promote(image: TestImage): Promise<void> {
  const value = productionOf(image, [repository.put(image, {}, `/images/${image.statement.version}`)]);
  await bench.publishDesired(desiredImage(value.name, value.version), value);
}

/** Since it was asked last. */
async function longestStallMs(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return 1_000 * Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1]);
}

function load(): string {
  return (loadavg()[0] ?? 0).toFixed(1);
}
