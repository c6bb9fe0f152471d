/**
 * Which image a container gets: the requested name and version when it can be served, else the default version of the
 * default OS with the reason recorded (US 9,075,638: "if the requested OS or version is not valid the default is
 * used").
 *
 * A default may be promoted to some data centres only. Where it is not, the newest earlier version that is there stands
 * in for it, else the next later one; the reason `not-distributed` is recorded.
 */
import { type FallbackReason, formatImageRef, parseImageRef } from '@plinth/contracts';

export interface CatalogueImage {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly contentDigest: string | null;
  /** Debian's name of it; absent: not known. */
  readonly architecture?: string | null;
  /** Storage nodes that hold a master and whose heartbeats arrive. */
  readonly storageNodes: readonly string[];
}

export interface ImageCatalogue {
  readonly images: readonly CatalogueImage[];
  /** Default version per name. */
  readonly defaults: Readonly<Record<string, string>>;
  /** Name of the default OS. */
  readonly defaultOs: string | null;
  /** Absent: not known. */
  readonly storage?: StorageSpace;
}

/** Free space of the storage nodes whose heartbeats arrive. */
export interface StorageSpace {
  /** Bytes, by node. */
  readonly free: Readonly<Record<string, number>>;
  /** What the emptiest and the fullest of them have. */
  readonly most: number;
  readonly least: number;
}

export interface ServableImage {
  readonly name: string;
  readonly version: string;
  readonly contentDigest: string;
  /** Absent: not known. */
  readonly architecture?: string;
  /** The storage nodes with the image that a candidate host reaches; hosts with stores of their own need none. */
  readonly storageNodes: readonly string[];
}

export type Resolution =
  | { readonly ok: true; readonly image: ServableImage; readonly fallbackReason?: FallbackReason }
  | { readonly ok: false; readonly reason: 'image-unavailable' | 'no-default-image'; readonly message: string };

type Lookup =
  | { readonly ok: true; readonly image: ServableImage; readonly fallbackReason?: FallbackReason }
  | { readonly ok: false; readonly reason: FallbackReason };

/** Where the candidate hosts can have images from. */
export interface ImageReach {
  /** Storage nodes that at least one of them has mounted. */
  readonly nodes: ReadonlySet<string>;
  /** One of them has a store of its own: it fetches what is in production. */
  readonly isAnywhere: boolean;
}

export function resolveImage(
  asked: string | undefined,
  strict: boolean,
  catalogue: ImageCatalogue,
  reachable: ImageReach,
): Resolution {
  const fallback = defaultImage(catalogue, reachable);
  const wanted = asked === undefined ? fallback : lookUp(asked, catalogue, reachable);
  const problem = wanted.ok ? wanted.fallbackReason : wanted.reason;
  if (strict && problem !== undefined && (asked !== undefined || wanted.ok)) {
    const what = asked ?? 'the default';
    return {
      ok: false,
      reason: 'image-unavailable',
      message: `${what} can't be served (${problem}) and the request is strict`,
    };
  }
  if (wanted.ok) return wanted;
  if (asked === undefined) return refuseDefault(wanted.reason, catalogue);
  if (!fallback.ok)
    return refuseDefault(fallback.reason, catalogue, `${asked} can't be served (${wanted.reason}), and `);
  return { ok: true, image: fallback.image, fallbackReason: wanted.reason };
}

function defaultImage(catalogue: ImageCatalogue, reachable: ImageReach): Lookup {
  if (catalogue.defaultOs === null) return { ok: false, reason: 'no-default-version' };
  return lookUp(catalogue.defaultOs, catalogue, reachable);
}

function lookUp(text: string, catalogue: ImageCatalogue, reachable: ImageReach): Lookup {
  const ref = parseImageRef(text);
  if (!ref) return { ok: false, reason: 'unknown-image' };
  const ofName = catalogue.images.filter((image) => image.name === ref.name);
  if (ofName.length === 0) return { ok: false, reason: 'unknown-image' };
  const version = ref.version ?? catalogue.defaults[ref.name];
  if (version === undefined) return { ok: false, reason: 'no-default-version' };
  const image = ofName.find((candidate) => candidate.version === version);
  if (!image) return { ok: false, reason: 'unknown-version' };
  if (image.state === 'revoked' || image.state === 'retired') return { ok: false, reason: image.state };
  if (image.state !== 'promoted' || image.contentDigest === null) return { ok: false, reason: 'not-promoted' };
  const servable = asServable(image, reachable);
  if (servable) return { ok: true, image: servable };
  const standIn = ref.version === undefined ? nearestServable(ofName, image.version, reachable) : undefined;
  if (standIn) return { ok: true, image: standIn, fallbackReason: 'not-distributed' };
  return { ok: false, reason: 'not-distributed' };
}

/** The newest servable version before `version`, else the first after it. */
function nearestServable(
  ofName: readonly CatalogueImage[],
  version: string,
  reachable: ImageReach,
): ServableImage | undefined {
  const servable = ofName
    .flatMap((image) => asServable(image, reachable) ?? [])
    .sort((a, b) => numberOf(a.version) - numberOf(b.version));
  const earlier = servable.filter((image) => numberOf(image.version) < numberOf(version));
  return earlier.at(-1) ?? servable[0];
}

const numberOf = (version: string): number => Number(version.slice(1));

function asServable(image: CatalogueImage, reachable: ImageReach): ServableImage | undefined {
  const { name, version, contentDigest } = image;
  if (image.state !== 'promoted' || contentDigest === null) return undefined;
  const storageNodes = image.storageNodes.filter((node) => reachable.nodes.has(node));
  if (storageNodes.length === 0 && !reachable.isAnywhere) return undefined;
  const { architecture } = image;
  return { name, version, contentDigest, storageNodes, ...(architecture && { architecture }) };
}

function refuseDefault(reason: FallbackReason, catalogue: ImageCatalogue, prefix = ''): Resolution {
  const os = catalogue.defaultOs;
  const message =
    os === null
      ? `${prefix}no default image is set; activate one with: plinth image activate <name>@<version>`
      : `${prefix}the default ${formatImageRef({ name: os, version: catalogue.defaults[os] })} can't be served (${reason}); ` +
        'plinth image show lists where it is';
  return { ok: false, reason: 'no-default-image', message };
}
