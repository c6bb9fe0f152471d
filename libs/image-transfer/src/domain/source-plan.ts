/**
 * Where a machine fetches a version: from machines of its data centre that have it; while none has, the first few of
 * them fetch it from an image-builder, and the others wait for these, for a bounded time. No lock decides it: every
 * machine computes it from the same state.
 */
import type { ImageSource, ProductionImage } from '@plinth/contracts';
import type { PeerSources, ProducedImage } from './installed.js';

export interface Fetcher {
  readonly node: string;
  readonly dataCenter: string;
}

export type SourcePlan =
  | { readonly image: ProducedImage }
  /**
   * Other machines of the data centre fetch it first, to serve it at these base URLs; when nothing changes, it is due
   * after this time.
   */
  | { readonly waitMs: number; readonly before: readonly string[] };

/** What a machine has seen so far. */
export interface SourceExperience {
  /** Since the version was first wanted here. */
  readonly waitedMs: number;
  /** Since no machine of the data centre is known here that could serve it. */
  readonly aloneMs: number;
  /** Base URLs of machines that failed to serve it. */
  readonly failed: ReadonlySet<string>;
}

/** Machines of other data centres that are asked, when all others have failed. */
const FAR_SOURCES = 4;
/** What one that fetches is given, beside the time that the transfer takes at the least expected rate. */
const STEP_MS = 10_000;
const LEAST_RATE_PER_MS = (2 * 1024 ** 2) / 1_000;
const LONGEST_STEP_MS = 600_000;
/** So many steps machines of the data centre may all be busy, before the image-builders are asked. */
const BUSY_STEPS = 12;

/** @returns undefined for a version that is not in production */
export function planSources(
  image: ProductionImage,
  self: Fetcher,
  { waitedMs, aloneMs, failed }: SourceExperience,
): SourcePlan | undefined {
  const { contentDigest, manifestDigest, archiveDigest, archiveBytes, unpackedBytes = 0, name, version } = image;
  if (image.state !== 'promoted' || !contentDigest || !manifestDigest || !archiveDigest || !archiveBytes)
    return undefined;
  const others = image.sources
    .filter(({ node, url }) => node !== undefined && node !== self.node && !failed.has(url) && isUsable(url))
    .map(({ url, node, dataCenter }) => ({ url, dataCenter, order: spread(`${self.node} ${node} ${name}@${version}`) }))
    .sort((one, other) => one.order - other.order);
  const near = others.filter(({ dataCenter }) => dataCenter === self.dataCenter).map(({ url }) => url);
  const far = others.filter(({ dataCenter }) => dataCenter !== self.dataCenter).map(({ url }) => url);
  const stepMs = Math.min(STEP_MS + archiveBytes / LEAST_RATE_PER_MS, LONGEST_STEP_MS);
  if (near.length === 0) {
    const { steps, before } = turnOf(image, self, failed);
    const left = steps * stepMs - aloneMs;
    if (left > 0) return { waitMs: Math.ceil(left), before };
  }
  const peers: PeerSources = { near, far: far.slice(0, FAR_SOURCES), mayWait: waitedMs < BUSY_STEPS * stepMs };
  return {
    image: {
      ...{ name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes, unpackedBytes, peers },
      sources: image.sources.flatMap(({ url, node }) => (node === undefined ? [url] : [])),
    },
  };
}

/** How many steps a machine waits for others of its data centre: none is before the first of those that are named. */
function turnOf(
  { seeds, name, version }: ProductionImage,
  { node, dataCenter }: Fetcher,
  failed: ReadonlySet<string>,
): { readonly steps: number; readonly before: readonly string[] } {
  const living = ({ url, node: other }: ImageSource): boolean => other === node || (!failed.has(url) && isUsable(url));
  const first = seeds.filter((seed) => seed.dataCenter === dataCenter && living(seed));
  const own = first.findIndex((seed) => seed.node === node);
  const before = first.slice(0, own >= 0 ? own : first.length).map(({ url }) => url);
  if (own >= 0 || first.length === 0) return { steps: before.length, before };
  // Those that are not named come one after the other too: not all at once when the named ones have failed.
  const share = spread(`${node} ${name}@${version}`) / 2 ** 32;
  return { steps: first.length * (1 + 2 * share), before };
}

/** Another machine has reported it. */
function isUsable(url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
}

/** FNV-1a with a final mix: evenly from 0 to 2^32, the same everywhere. */
function spread(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
