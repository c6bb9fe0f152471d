/**
 * The members that the archive must hold, in order: `mount.sh`, then the tree in the manifest's order. The archive's
 * own names are only ever compared with this list; paths on disk are made from the list.
 */
import { CAPABILITY_ATTRIBUTE, type ImageManifest, type ManifestEntry, VERSION_FILES } from '@plinth/contracts';

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
  /** The extended header (pax), when there is one; its values are decoded as UTF-8 even when they are binary. */
  readonly extensions: Readonly<Record<string, string>>;
}

export type ExpectedMember =
  | { readonly kind: 'mount-script' }
  | { readonly kind: 'entry'; readonly entry: ManifestEntry };

/** Names under which GNU tar and others write the attribute. */
const CAPABILITY_EXTENSION = `SCHILY.xattr.${CAPABILITY_ATTRIBUTE}`;

/** Extended headers without an effect here; all others (other xattrs, sparse files, charsets) are refused. */
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

/** @returns the problem of a member, or undefined */
export function memberProblem(
  expected: ExpectedMember | undefined,
  header: MemberHeader,
  manifest: ImageManifest,
): string | undefined {
  const name = JSON.stringify(header.name.slice(0, 300));
  if (!expected) return `the archive holds ${name} beyond the manifest`;
  const foreign = Object.keys(header.extensions).find(
    (keyword) => keyword !== CAPABILITY_EXTENSION && !HARMLESS_EXTENSIONS.has(keyword),
  );
  if (foreign !== undefined) return `${name} has the extended header ${JSON.stringify(foreign.slice(0, 80))}`;
  const differences =
    expected.kind === 'mount-script'
      ? mountScriptDifferences(header, manifest)
      : entryDifferences(expected.entry, header);
  const [first] = differences.filter(([, is, should]) => is !== should);
  if (!first) return undefined;
  const [field, is, should] = first;
  return `${name}: ${field} is ${JSON.stringify(is)}, the manifest has ${JSON.stringify(should)}`;
}

type Comparison = readonly [field: string, is: string | number | null, should: string | number | null];

function mountScriptDifferences(header: MemberHeader, manifest: ImageManifest): Comparison[] {
  return [
    ['path', header.name, VERSION_FILES.mountScript],
    ['type', header.type, 'file'],
    ['size', header.size, manifest.mountScript.bytes],
    ['capability', statedCapability(header), null],
  ];
}

function entryDifferences(entry: ManifestEntry, header: MemberHeader): Comparison[] {
  const name = entry.type === 'directory' && header.name.endsWith('/') ? header.name.slice(0, -1) : header.name;
  const link = entry.type === 'file' ? entry.link : undefined;
  const target = entry.type === 'symlink' ? entry.target : link === undefined ? null : `${VERSION_FILES.root}/${link}`;
  return [
    ['path', name, entry.path === '.' ? VERSION_FILES.root : `${VERSION_FILES.root}/${entry.path}`],
    ['type', header.type, link === undefined ? entry.type : 'link'],
    ['mode', header.mode, entry.mode],
    ['uid', header.uid, entry.uid],
    ['gid', header.gid, entry.gid],
    ['mtime', header.mtime, entry.mtime],
    ['size', header.size, entry.type === 'file' && link === undefined ? entry.size : 0],
    ['target', target === null ? null : header.linkname, target],
    ['capability', statedCapability(header), link === undefined ? capabilityText(entry) : null],
  ];
}

/**
 * The capability in the header, as the tar reader decodes it. Decoding loses bytes that are not UTF-8, so two values
 * may look alike here; the bytes of the manifest are written to the disk, and compared there.
 */
function capabilityText(entry: ManifestEntry): string | null {
  return entry.type === 'file' && entry.capability !== undefined
    ? shown(Buffer.from(entry.capability, 'hex').toString('utf8'))
    : null;
}

function statedCapability({ extensions }: MemberHeader): string | null {
  const text = extensions[CAPABILITY_EXTENSION];
  return text === undefined ? null : shown(text);
}

/** 20 bytes decode to at most 60: this is the number of their digits and two more, and a longer value differs. */
function shown(text: string): string {
  return Buffer.from(text.slice(0, 64)).toString('hex').slice(0, 122);
}

/** Name of a member in messages. */
export function describeMember(member: ExpectedMember): string {
  return member.kind === 'entry'
    ? JSON.stringify(`${VERSION_FILES.root}/${member.entry.path}`)
    : VERSION_FILES.mountScript;
}
