/** The differences between two versions of images, in a reply that fits into one message. */
import {
  canonicalJson,
  type ImageDiff,
  type ImageDiffSide,
  type ImageManifest,
  type ImagePackage,
  type WritablePlace,
} from '@plinth/contracts';
import { countThatFit, cutList, cutText } from './cut-list.js';
import { diffFiles } from './file-diff.js';
import { diffPackages } from './package-diff.js';

export interface DiffSide {
  readonly manifest: ImageManifest;
  /** null: not recorded when it was built. */
  readonly packages: readonly ImagePackage[] | null;
  readonly state: string;
  readonly archiveBytes: number;
}

export interface DiffLimits {
  /** Bytes of the whole reply; the lists share them. */
  readonly bytes: number;
  /** Most files of this reply. */
  readonly files: number;
  /** Files before the first of this reply. */
  readonly skip: number;
}

export function diffImages(from: DiffSide, to: DiffSide, limits: DiffLimits): ImageDiff {
  const { changes, touched } = diffFiles(from.manifest.entries, to.manifest.entries);
  const count = (kind: string): number => changes.filter(({ change }) => change === kind).length;
  const wanted = changes.slice(limits.skip, limits.skip + limits.files);
  // At least one, so that a client that asks for the next ones reaches the end.
  const items = wanted.slice(0, Math.max(1, countThatFit(wanted, limits.bytes * 0.4)));
  const end = limits.skip + items.length;
  const known = from.packages !== null && to.packages !== null;
  const packages = diffPackages(known ? (from.packages ?? []) : [], known ? (to.packages ?? []) : []);
  return {
    from: sideOf(from),
    to: sideOf(to),
    packages: {
      unknownOf: [from, to].filter((side) => side.packages === null).map(({ manifest }) => refOf(manifest)),
      added: cutList(packages.added, limits.bytes * 0.1),
      removed: cutList(packages.removed, limits.bytes * 0.1),
      changed: cutList(packages.changed, limits.bytes * 0.1),
    },
    files: {
      added: count('added'),
      removed: count('removed'),
      changed: count('changed'),
      touched,
      items,
      ...(end < changes.length ? { next: String(end) } : {}),
    },
    etc: cutList(
      changes.filter(({ path }) => path.startsWith('/etc/')),
      limits.bytes * 0.1,
    ),
    places: diffPlaces(from.manifest.mountPlan.places, to.manifest.mountPlan.places),
    environment: cutList(diffEnvironment(from.manifest.environment, to.manifest.environment), limits.bytes * 0.1),
    settings: diffSettings(from.manifest, to.manifest),
  };
}

function refOf({ name, version }: ImageManifest): string {
  return `${name}@${version}`;
}

function sideOf({ manifest, state, archiveBytes }: DiffSide): ImageDiffSide {
  const { contentDigest, totals } = manifest;
  return {
    image: refOf(manifest),
    state,
    contentDigest,
    entries: totals.entries,
    unpackedBytes: totals.bytes,
    archiveBytes,
  };
}

function diffPlaces(from: readonly WritablePlace[], to: readonly WritablePlace[]): ImageDiff['places'] {
  const paths = [...new Set([...from, ...to].map(({ path }) => path))].sort();
  const find = (places: readonly WritablePlace[], path: string): WritablePlace | null =>
    places.find((place) => place.path === path) ?? null;
  return paths
    .map((path) => ({ path, from: find(from, path), to: find(to, path) }))
    .filter((pair) => canonicalJson(pair.from) !== canonicalJson(pair.to));
}

function diffEnvironment(
  from: Readonly<Record<string, string>>,
  to: Readonly<Record<string, string>>,
): { name: string; from: string | null; to: string | null }[] {
  const value = (environment: Readonly<Record<string, string>>, name: string): string | null =>
    Object.hasOwn(environment, name) ? cutText(environment[name] ?? '') : null;
  return [...new Set([...Object.keys(from), ...Object.keys(to)])]
    .sort()
    .filter((name) => from[name] !== to[name] || Object.hasOwn(from, name) !== Object.hasOwn(to, name))
    .map((name) => ({ name, from: value(from, name), to: value(to, name) }));
}

const SETTINGS: readonly [string, (manifest: ImageManifest) => string][] = [
  ['architecture', (manifest) => manifest.architecture],
  ['parent', (manifest) => manifest.parent ?? 'none'],
  ['time zone', (manifest) => manifest.timezone],
  ['entry point', (manifest) => (manifest.entrypoint ? JSON.stringify(manifest.entrypoint) : 'none')],
  ['command', (manifest) => JSON.stringify(manifest.command)],
  ['working directory', (manifest) => manifest.workingDirectory ?? '/'],
  ['user', ({ user }) => (user ? `${user.name} (${[user.uid, user.gid, ...user.additionalGids].join(':')})` : 'root')],
  ['exposed ports', (manifest) => manifest.exposedPorts?.join(' ') ?? 'none'],
  ['stop signal', (manifest) => manifest.stopSignal],
  ['privileges', (manifest) => manifest.privileges ?? 'none'],
  // A generated script follows from the places.
  ['mount script', ({ mountScript }) => (mountScript.custom ? `the recipe's own, ${mountScript.digest}` : 'generated')],
];

function diffSettings(from: ImageManifest, to: ImageManifest): ImageDiff['settings'] {
  return SETTINGS.filter(([, text]) => text(from) !== text(to)).map(([what, text]) => ({
    what,
    from: cutText(text(from)),
    to: cutText(text(to)),
  }));
}
