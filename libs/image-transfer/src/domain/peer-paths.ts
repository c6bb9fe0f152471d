/** What a machine serves of a version that it has as a tree, below the version's base URL. */
import { VERSION_FILES, VERSION_PATTERN } from '@plinth/contracts';
import type { ImageVersion } from './store-layout.js';
import { parseExactImageRef } from '@plinth/contracts';

/** Number of the plan and the packing of segments; another one is another path, which others do not have. */
const SEGMENT_FORMAT = 1;
/** In place of a version that the receiver has. */
const NOTHING = 'nothing';

const DOCUMENTS = [VERSION_FILES.statement, VERSION_FILES.manifest, VERSION_FILES.mountScript] as const;
export type PeerDocument = (typeof DOCUMENTS)[number];

export type PeerFile =
  | { readonly image: ImageVersion; readonly document: PeerDocument }
  /** The manifest against that of another version of the same name, which the receiver has. */
  | { readonly image: ImageVersion; readonly manifestAgainst: string }
  | {
      readonly image: ImageVersion;
      readonly segment: number;
      /** The version of the same name that the receiver has; absent: none. */
      readonly base?: string;
    };

/** @returns undefined for everything that is not exactly one of the files that are served */
export function parsePeerPath(path: string): PeerFile | undefined {
  const [, name = '', version = '', rest = ''] =
    /^\/images\/([^/?]{1,63})\/([^/?]{1,16})\/([^?]{1,100})$/.exec(path) ?? [];
  const image = parseExactImageRef(`${name}@${version}`);
  if (!image) return undefined;
  const document = DOCUMENTS.find((known) => known === rest);
  if (document) return { image, document };
  const [, against = ''] = /^manifests\/([a-z0-9]{1,16})\.zst$/.exec(rest) ?? [];
  if (against !== '')
    return VERSION_PATTERN.test(against) && against !== version ? { image, manifestAgainst: against } : undefined;
  const [, format, base = '', number = ''] =
    /^segments\/([1-9]\d{0,3})\/([a-z0-9]{1,16})\/(0|[1-9]\d{0,5})\.zst$/.exec(rest) ?? [];
  if (format !== String(SEGMENT_FORMAT)) return undefined;
  const segment = Number(number);
  if (base === NOTHING) return { image, segment };
  return VERSION_PATTERN.test(base) && base !== version ? { image, segment, base } : undefined;
}

/** @param base of the version */
export function segmentUrl(base: string, from: string | undefined, segment: number): URL {
  return new URL(`segments/${SEGMENT_FORMAT}/${from ?? NOTHING}/${segment}.zst`, directory(base));
}

/** @param base of the version @param from the version that the receiver has */
export function manifestUrl(base: string, from: string): URL {
  return new URL(`manifests/${from}.zst`, directory(base));
}

const directory = (base: string): string => (base.endsWith('/') ? base : `${base}/`);
