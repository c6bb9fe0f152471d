/** What the image commands do. */
import { readFile } from 'node:fs/promises';
import { type ImageBuildStatus, imageStatus, type Problem, SUBJECTS } from '@plinth/contracts';
import { withClient } from '../client/connection.js';
import { ClientError, type Fact, type PlinthClient } from '../client/plinth-client.js';
import { escapeControls } from '../output/escape.js';
import { print, printLine } from '../output/print.js';
import { ProgressBar } from '../output/progress.js';
import { age, bytes, table } from '../output/table.js';
import type { SharedOptions } from './options.js';

const ANSWER_MS = 30_000;

function refused(fact: Fact): ClientError {
  const problems = ((fact.data.problems ?? []) as Problem[]).map((problem) => `\n  ${problem.path || '(recipe)'}: ${problem.message}`).join('');
  const test = fact.data.failedTest ? `\n  failed test: ${String(fact.data.failedTest)}` : '';
  const log = fact.data.logTail ? `\n${String(fact.data.logTail)}` : '';
  const text = `${String(fact.data.message)}${problems}${test}${log}`;
  return new ClientError(`${String(fact.data.operation)} rejected (${String(fact.data.reason)}): ${text.split('\n').map(escapeControls).join('\n')}`, String(fact.data.reason));
}

/** @returns the version that was built and tested */
export async function buildImage(client: PlinthClient, recipe: string, timeoutMs: number, onProgress: (fraction: number, phase: string) => void): Promise<{ ref: string; contentDigest: string }> {
  const status = client.connection.subscribe(imageStatus('*'));
  const stream = await client.request(SUBJECTS.imageRequested, { recipe }, ['image.*']);
  void (async () => {
    for await (const message of status) {
      const build = JSON.parse(Buffer.from(message.data).toString('utf8')) as ImageBuildStatus;
      if (build.requestId === stream.requestId) onProgress(build.fraction, `${build.name}@${build.version} ${build.phase}`);
    }
  })();
  try {
    const fact = await stream.first(({ subject }) => ([SUBJECTS.imageTested, SUBJECTS.imageRejected] as string[]).includes(subject), timeoutMs, 'is an image-builder running? try: plinth status');
    if (fact.subject === SUBJECTS.imageRejected) throw refused(fact);
    return { ref: `${String(fact.data.name)}@${String(fact.data.version)}`, contentDigest: String(fact.data.contentDigest) };
  } finally {
    status.unsubscribe();
    stream.close();
  }
}

export async function build(file: string, options: SharedOptions & { timeout: number }): Promise<void> {
  const recipe = await readRecipe(file);
  await withClient(options.nats, async (client) => {
    const bar = new ProgressBar('building');
    try {
      const built = await buildImage(client, recipe, options.timeout, (fraction, phase) => bar.update(fraction, phase));
      bar.end();
      print(options, built, () => `${built.ref} is built and tested, ${built.contentDigest}\nnext: plinth image promote ${built.ref}`);
    } catch (error) {
      bar.end();
      throw error;
    }
  });
}

async function readRecipe(file: string): Promise<string> {
  if (file === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  }
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ClientError(`${file} can't be read: ${(error as Error).message}`, 'no-file', { cause: error });
  }
}

export async function list(name: string | undefined, options: SharedOptions): Promise<void> {
  await withClient(options.nats, async (client) => {
    const images = await client.images(name);
    print(options, images, () =>
      table(
        ['IMAGE', 'STATE', 'DEFAULT', 'ARCHIVE', 'UNPACKED', 'STORAGE NODES', 'CONTAINERS', 'SINCE', 'MESSAGE'],
        images.map((image) => [
          `${image.name}@${image.version}`,
          image.state,
          image.defaultOs ? 'OS' : image.defaultVersion ? 'version' : null,
          bytes(image.archiveBytes),
          bytes(image.unpackedBytes),
          image.storageNodes.join(','),
          image.containers,
          age(image.at, Date.now()),
          image.message?.slice(0, 60),
        ]),
      ),
    );
  });
}

export async function show(ref: string, options: SharedOptions): Promise<void> {
  await withClient(options.nats, async (client) => {
    const summary = (await client.images(ref.split('@')[0])).find((image) => `${image.name}@${image.version}` === ref);
    const details = await client.build(ref).catch((error: unknown) => {
      if (error instanceof ClientError && summary) return null;
      throw error;
    });
    printLine(JSON.stringify({ ...summary, build: details }, null, 2));
  });
}

/** Promotes and, unless told not to, waits for the storage nodes. */
export async function promoteImage(client: PlinthClient, ref: string, options: { to?: readonly string[]; wait: boolean; timeoutMs: number; onNode: (line: string) => void }): Promise<void> {
  const [name, version] = ref.split('@');
  const nodes = (await client.storage()).filter((node) => node.state === 'ready');
  const targeted = nodes
    .filter((node) => options.to === undefined || options.to.some((target) => target === node.node || target === `datacenter=${node.datacenter}` || Object.entries(node.labels).some(([key, value]) => target === `${key}=${value}`)))
    .map((node) => node.node);
  const arrivals = await client.facts(['image.distributed', 'image.distribution.failed'], (fact) => fact.data.name === name && fact.data.version === version);
  const stream = await client.request(SUBJECTS.imagePromotionRequested, { image: ref, to: options.to }, ['image.promoted', 'image.rejected']);
  try {
    const fact = await stream.first(() => true, ANSWER_MS, 'is an image-builder running? try: plinth status');
    if (fact.subject === SUBJECTS.imageRejected) throw refused(fact);
    if (!options.wait) return;
    await Promise.all(
      targeted.map(async (node) => {
        const final = await arrivals.first((arrival) => arrival.data.storageNode === node && (arrival.subject === SUBJECTS.imageDistributed || arrival.data.retryInMs === undefined), options.timeoutMs, 'try: plinth storage');
        if (final.subject === SUBJECTS.imageDistributionFailed) throw new ClientError(`${node}: ${String(final.data.reason)}: ${escapeControls(String(final.data.message))}`, String(final.data.reason));
        options.onNode(`${node} has ${ref} (${bytes(Number(final.data.downloadedBytes))} in ${(Number(final.data.durationMs) / 1000).toFixed(1)} s)`);
      }),
    );
  } finally {
    arrivals.close();
    stream.close();
  }
}

export async function promote(ref: string, options: SharedOptions & { to?: string[]; wait: boolean; timeout: number }): Promise<void> {
  await withClient(options.nats, async (client) => {
    await promoteImage(client, ref, { to: options.to, wait: options.wait, timeoutMs: options.timeout, onNode: (line) => options.json || printLine(line) });
    print(options, { image: ref, promoted: true }, () => `${ref} is promoted\nnext: plinth image activate ${ref}`);
  });
}

export async function activateImage(client: PlinthClient, ref: string, defaultOs: boolean): Promise<Fact> {
  const stream = await client.request(SUBJECTS.imageActivationRequested, { image: ref, defaultOs }, ['image.activated', 'image.rejected']);
  const fact = await stream.first(() => true, ANSWER_MS, 'is a provisioner running? try: plinth status');
  stream.close();
  if (fact.subject === SUBJECTS.imageRejected) throw refused(fact);
  return fact;
}

export async function activate(ref: string, options: SharedOptions & { versionOnly?: boolean }): Promise<void> {
  await withClient(options.nats, async (client) => {
    const fact = await activateImage(client, ref, !options.versionOnly);
    print(options, fact.data, () => `${ref} is the default ${options.versionOnly ? 'version of its name' : 'image'} now`);
  });
}

export async function revoke(ref: string, options: SharedOptions & { reason: string }): Promise<void> {
  await withClient(options.nats, async (client) => {
    const stream = await client.request(SUBJECTS.imageRevocationRequested, { image: ref, reason: options.reason }, ['image.revoked', 'image.rejected']);
    const fact = await stream.first(() => true, ANSWER_MS, 'is an image-builder running? try: plinth status');
    stream.close();
    if (fact.subject === SUBJECTS.imageRejected) throw refused(fact);
    print(options, fact.data, () => `${ref} is revoked; containers that run on it go on, nothing new starts on it`);
  });
}
