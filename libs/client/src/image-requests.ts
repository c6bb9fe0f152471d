/** Requests about images together with the wait for what becomes of them. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  EVENTS_ABOUT,
  type ImageBuildStatus,
  type ImageDistributed,
  type ImageDistributionFailed,
  type ImagePromoted,
  type ImageTransfer,
  imageStatus,
  parseExactImageRef,
  type StorageStatus,
  SUBJECTS,
} from '@plinth/contracts';
import { ClientError } from './errors.js';
import type { Fact, FactStream } from './facts.js';
import type { PlinthClient } from './plinth-client.js';

const ANSWER_MS = 30_000;
/** How often the storage nodes are read while facts are awaited. */
const LOOK_EVERY_MS = 1_000;
const LOOK_FOR_REMOVAL_MS = 250;

export interface BuiltImage {
  /** `name@version` */
  readonly ref: string;
  readonly contentDigest: string;
}

/** Asks for a build and waits until the image is tested. @throws ClientError with the reason of the rejection */
export async function buildImage(
  client: PlinthClient,
  recipe: string,
  timeoutMs: number,
  onProgress: (fraction: number, phase: string) => void,
): Promise<BuiltImage> {
  const status = client.connection.subscribe(imageStatus('*'));
  const stream = await client
    .request(SUBJECTS.imageRequested, { recipe }, [EVENTS_ABOUT.images])
    .catch((error: unknown) => {
      status.unsubscribe();
      throw error;
    });
  const showing = (async () => {
    for await (const message of status) {
      const build = readStatus(message.data);
      if (build?.requestId === stream.requestId)
        onProgress(build.fraction, `${build.name}@${build.version} ${build.phase}`);
    }
  })();
  try {
    const fact = await answerTo(stream, [SUBJECTS.imageTested], timeoutMs, 'image-builder');
    return {
      ref: `${String(fact.data.name)}@${String(fact.data.version)}`,
      contentDigest: String(fact.data.contentDigest),
    };
  } finally {
    status.unsubscribe();
    stream.close();
    await showing;
  }
}

export interface PromoteOptions {
  /** Storage nodes or labels; absent: all. */
  readonly to?: readonly string[];
  /** Wait until every live node that is meant has the image. */
  readonly wait: boolean;
  readonly timeoutMs: number;
  /** A line for people about each node that has it. */
  readonly onNode: (line: string) => void;
  /** What the nodes that do not have it yet have received of it; again and again. */
  readonly onTransfers?: (nodes: readonly NodeTransfer[]) => void;
}

/** How far a storage node is with a version; without a transfer it waits for others, or for its turn. */
export interface NodeTransfer {
  readonly node: string;
  readonly transfer?: ImageTransfer;
}

export interface Promoted {
  readonly archiveBytes: number;
  /** What each node fetched of it that reported so meanwhile, by node. */
  readonly downloadedBytes: ReadonlyMap<string, number>;
}

/**
 * Promotes and, with `wait`, waits for the storage nodes.
 * @throws ClientError with the reason of the rejection or of a node's failure
 */
export async function promoteImage(client: PlinthClient, ref: string, options: PromoteOptions): Promise<Promoted> {
  const image = parseExactImageRef(ref);
  const arrivals = await client.facts(
    [SUBJECTS.imageDistributed, SUBJECTS.imageDistributionFailed],
    (fact) => fact.data.name === image?.name && fact.data.version === image?.version,
  );
  try {
    const stream = await client.request(SUBJECTS.imagePromotionRequested, { image: ref, to: options.to }, [
      SUBJECTS.imagePromoted,
      SUBJECTS.imageRejected,
    ]);
    const promoted = await answerTo(stream, [SUBJECTS.imagePromoted], ANSWER_MS, 'image-builder').finally(() =>
      stream.close(),
    );
    const { archiveBytes } = promoted.data as unknown as ImagePromoted;
    const downloadedBytes = new Map<string, number>();
    if (options.wait) await waitForNodes(client, ref, { archiveBytes, downloadedBytes }, arrivals, options);
    return { archiveBytes, downloadedBytes };
  } finally {
    arrivals.close();
  }
}

/** Whether a promotion's `to` means this node. */
export function isTarget(
  node: Pick<StorageStatus, 'node' | 'datacenter' | 'labels'>,
  to: readonly string[] | undefined,
): boolean {
  if (to === undefined) return true;
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  return to.some(
    (target) => target === node.node || target === `datacenter=${node.datacenter}` || labels.includes(target),
  );
}

/** Facts report arrivals and failures; the nodes' own lists show what was there before, and which node is gone. */
async function waitForNodes(
  client: PlinthClient,
  ref: string,
  {
    archiveBytes,
    downloadedBytes: counts,
  }: { readonly archiveBytes: number; readonly downloadedBytes: Map<string, number> },
  arrivals: FactStream,
  options: PromoteOptions,
): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  const done = new Set<string>();
  /** Each failure is reported once. */
  const failures = new Set<string>();
  const report = (node: string, line: string): void => {
    if (done.has(node)) return;
    done.add(node);
    options.onNode(line);
  };
  for (let none = true; ;) {
    const live = (await client.storage()).filter((node) => node.state === 'ready' && isTarget(node, options.to));
    if (live.length > 0) none = false;
    for (const { node, images } of live) {
      if (images.includes(ref)) report(node, `${node} has ${ref}`);
    }
    const missing = live.filter(({ node }) => !done.has(node));
    options.onTransfers?.(
      missing.map(({ node, transfers = [] }) => {
        const transfer = transfers.find(({ image }) => image === ref);
        return { node, ...(transfer && { transfer }) };
      }),
    );
    if (!none && missing.length === 0) return;
    if (performance.now() >= deadline) {
      const who = none
        ? 'no live storage node is meant'
        : `${missing.map(({ node }) => node).join(', ')} did not get it`;
      throw new ClientError(
        `${ref} is promoted, but ${who} within ${Math.round(options.timeoutMs / 1000)} s; try: plinth storage`,
        'timeout',
      );
    }
    const fact = await arrivals.within(({ data }) => !done.has(String(data.storageNode)), LOOK_EVERY_MS);
    if (!fact) continue;
    if (fact.subject === SUBJECTS.imageDistributionFailed) {
      const failed = fact.data as unknown as ImageDistributionFailed;
      if (failed.retryInMs !== undefined) {
        const failure = `${failed.storageNode} ${failed.reason}`;
        if (!failures.has(failure))
          options.onNode(
            `${failed.storageNode} could not get ${ref} yet (${failed.reason}): ${failed.message}; it tries again`,
          );
        failures.add(failure);
        continue;
      }
      throw new ClientError(
        `${failed.storageNode} could not get ${ref} (${failed.reason}): ${failed.message}; ` +
          'promote it again once that is repaired',
        failed.reason,
      );
    }
    const arrived = fact.data as unknown as ImageDistributed;
    const { storageNode, downloadedBytes } = arrived;
    const seconds = (arrived.durationMs / 1000).toFixed(1);
    // Fewer than the archive has: only what differs from a version that the node had.
    counts.set(storageNode, downloadedBytes);
    const of = downloadedBytes < archiveBytes ? ` of ${size(archiveBytes)}` : '';
    report(storageNode, `${storageNode} has ${ref} (${size(downloadedBytes)}${of} in ${seconds} s)`);
  }
}

function size(bytes: number): string {
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/** Makes a version the default of its name and, with `defaultOs`, its name the default OS. */
export async function activateImage(client: PlinthClient, ref: string, defaultOs: boolean): Promise<Fact> {
  const stream = await client.request(SUBJECTS.imageActivationRequested, { image: ref, defaultOs }, [
    SUBJECTS.imageActivated,
    SUBJECTS.imageRejected,
  ]);
  return answerTo(stream, [SUBJECTS.imageActivated], ANSWER_MS, 'provisioner').finally(() => stream.close());
}

/** Data centres with live storage nodes none of which holds the version, sorted. */
export async function datacentersWithout(client: PlinthClient, ref: string): Promise<readonly string[]> {
  const live = (await client.storage()).filter((node) => node.state === 'ready');
  const served = new Set(live.filter(({ images }) => images.includes(ref)).map(({ datacenter }) => datacenter));
  const all = new Set(live.map(({ datacenter }) => datacenter));
  return [...all].filter((datacenter) => !served.has(datacenter)).sort();
}

/** Lets nothing new start on a version. */
export async function revokeImage(client: PlinthClient, ref: string, reason: string): Promise<Fact> {
  const stream = await client.request(SUBJECTS.imageRevocationRequested, { image: ref, reason }, [
    SUBJECTS.imageRevoked,
    SUBJECTS.imageRejected,
  ]);
  return answerTo(stream, [SUBJECTS.imageRevoked], ANSWER_MS, 'image-builder').finally(() => stream.close());
}

/**
 * Takes a version out of use for ever.
 * @param timeoutMs how long to wait until no live storage node holds it; undefined: do not wait
 * @throws ClientError with the reason of the rejection, such as `in-use`, or `timeout`
 */
export async function retireImage(client: PlinthClient, ref: string, timeoutMs: number | undefined): Promise<void> {
  const stream = await client.request(SUBJECTS.imageRetirementRequested, { image: ref }, [
    SUBJECTS.imageRetired,
    SUBJECTS.imageRejected,
  ]);
  await answerTo(stream, [SUBJECTS.imageRetired], ANSWER_MS, 'provisioner').finally(() => stream.close());
  if (timeoutMs === undefined) return;
  for (const deadline = performance.now() + timeoutMs; ; await delay(LOOK_FOR_REMOVAL_MS)) {
    const holding = (await client.storage())
      .filter(({ state, images }) => state === 'ready' && images.includes(ref))
      .map(({ node }) => node);
    if (holding.length === 0) return;
    if (performance.now() >= deadline)
      throw new ClientError(
        `${ref} is retired, but ${holding.join(', ')} did not remove it within ${Math.round(timeoutMs / 1000)} s; ` +
          'it goes on: plinth storage',
        'timeout',
      );
  }
}

/** Waits for the fact that answers a request. @throws ClientError with the reason of the rejection, or `timeout` */
export async function answerTo(
  stream: FactStream,
  good: readonly string[],
  timeoutMs: number,
  service: string,
): Promise<Fact> {
  const fact = await stream.first(
    ({ subject }) => good.includes(subject) || subject === SUBJECTS.imageRejected,
    timeoutMs,
    `is the ${service} running? try: plinth status`,
  );
  if (fact.subject === SUBJECTS.imageRejected) throw rejection(fact);
  return fact;
}

function rejection(fact: Fact): ClientError {
  const { operation, reason, message, problems, failedTest, logTail } = fact.data;
  const lines = Array.isArray(problems)
    ? (problems as { path?: unknown; message?: unknown }[]).map(
        (problem) => `\n  ${String(problem.path ?? '') || '(request)'}: ${String(problem.message)}`,
      )
    : [];
  const test = failedTest === undefined ? '' : `\n  failed test: ${String(failedTest)}`;
  const log = logTail === undefined ? '' : `\n${String(logTail).trimEnd()}`;
  return new ClientError(
    `${String(operation)} rejected (${String(reason)}): ${String(message)}${lines.join('')}${test}${log}`,
    String(reason),
  );
}

function readStatus(body: Uint8Array): ImageBuildStatus | undefined {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8')) as ImageBuildStatus;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
