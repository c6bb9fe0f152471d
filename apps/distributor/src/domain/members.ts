/**
 * What the archive must hold, member by member: `mount.sh`, then the tree in the manifest's order. The archive's own names
 * are only ever compared with this list; paths on disk are made from the list.
 */
import { type ImageManifest, type ManifestEntry, VERSION_FILES } from '@plinth/contracts';

/** The fields of a tar header that are compared. */
export interface MemberHeader {
  readonly name: string;
  readonly type: string | null;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly linkname: string | null;
  /** Keywords of the extended header (pax), when there is one. */
  readonly extensions: readonly string[];
}

export type ExpectedMember =
  | { readonly kind: 'mount-script' }
  | { readonly kind: 'entry'; readonly entry: ManifestEntry };

/** Extended headers that change nothing that is used here; all others (xattrs, sparse files, charsets) are refused. */
const HARMLESS_EXTENSIONS: ReadonlySet<string> = new Set([
  'path',
  'linkpath',
  'size',
  'mtime',
  'atime',
  'ctime',
  'uid',
  'gid',
  'uname',
  'gname',
  'comment',
]);

export function expectedMembers(manifest: ImageManifest): ExpectedMember[] {
  return [{ kind: 'mount-script' }, ...manifest.entries.map((entry) => ({ kind: 'entry' as const, entry }))];
}

/** Upper bound of the unpacked archive, bytes: contents, headers with room for extended ones, padding, end blocks. */
export function archiveBound(manifest: ImageManifest): number {
  return manifest.totals.bytes + manifest.mountScript.bytes + (manifest.entries.length + 1) * 16_384 + 1024 ** 2;
}

/** @returns what is wrong with a member, or undefined */
export function memberProblem(
  expected: ExpectedMember | undefined,
  header: MemberHeader,
  manifest: ImageManifest,
): string | undefined {
  const name = JSON.stringify(header.name.slice(0, 300));
  if (!expected) return `the archive holds ${name} beyond the manifest`;
  const foreign = header.extensions.find((keyword) => !HARMLESS_EXTENSIONS.has(keyword));
  if (foreign !== undefined) return `${name} has the extended header ${JSON.stringify(foreign.slice(0, 80))}`;
  const differences =
    expected.kind === 'mount-script'
      ? mountScriptDifferences(header, manifest)
      : entryDifferences(expected.entry, header);
  const [first] = differences.filter(([, is, should]) => is !== should);
  if (!first) return undefined;
  const [field, is, should] = first;
  return `${name}: ${field} is ${JSON.stringify(is)}, the manifest says ${JSON.stringify(should)}`;
}

type Comparison = readonly [field: string, is: string | number | null, should: string | number | null];

function mountScriptDifferences(header: MemberHeader, manifest: ImageManifest): Comparison[] {
  return [
    ['path', header.name, VERSION_FILES.mountScript],
    ['type', header.type, 'file'],
    ['size', header.size, manifest.mountScript.bytes],
  ];
}

function entryDifferences(entry: ManifestEntry, header: MemberHeader): Comparison[] {
  const name = entry.type === 'directory' && header.name.endsWith('/') ? header.name.slice(0, -1) : header.name;
  return [
    ['path', name, entry.path === '.' ? VERSION_FILES.root : `${VERSION_FILES.root}/${entry.path}`],
    ['type', header.type, entry.type],
    ['mode', header.mode, entry.mode],
    ['uid', header.uid, entry.uid],
    ['gid', header.gid, entry.gid],
    ['mtime', header.mtime, entry.mtime],
    ['size', header.size, entry.type === 'file' ? entry.size : 0],
    ['target', entry.type === 'symlink' ? header.linkname : null, entry.type === 'symlink' ? entry.target : null],
  ];
}

/** How a member is called in messages. */
export function describeMember(member: ExpectedMember): string {
  return member.kind === 'entry'
    ? JSON.stringify(`${VERSION_FILES.root}/${member.entry.path}`)
    : VERSION_FILES.mountScript;
}
