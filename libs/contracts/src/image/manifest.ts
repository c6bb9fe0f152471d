/**
 * The formats that travel with an image: the manifest (what the tree holds), the mount plan (how a container
 * stands on it) and the signed statement (who vouches for it). All are plain JSON; `image-builder` writes them,
 * `distributor` checks them, `host-agent` mounts by them.
 */
import type { Digest } from '../values.js';

/** What a writable place holds when a container starts. */
export type PlaceContent =
  /** A memory file system with the image's directory copied into it. */
  | 'copy'
  /** An overlay: lower is the image's directory, upper a memory file system. Nothing is copied. */
  | 'overlay'
  /** A memory file system that starts empty. */
  | 'empty';

/**
 * A directory the OS expects to be writable; back to the image's defaults at every start (US 9,075,638, mount script
 * step 2).
 */
export interface WritablePlace {
  /** Absolute, normal path; a real directory in the image, no component of it a symlink. */
  readonly path: string;
  /** Size limit of the memory file system, bytes. */
  readonly bytes: number;
  /** Inode limit of the memory file system. */
  readonly inodes: number;
  readonly content: PlaceContent;
  /** Mode bits of the directory itself, e.g. 0o1777. */
  readonly mode: number;
}

/** The declarative form of the mount script; `mount.sh` is generated from it unless the recipe brings its own. */
export interface MountPlan {
  readonly schema: 1;
  /** Places in mount order: a parent stands before its children. */
  readonly places: readonly WritablePlace[];
}

export type ManifestEntry =
  | {
      readonly path: string;
      readonly type: 'file';
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      /** Seconds since the epoch. */
      readonly mtime: number;
      readonly size: number;
      readonly digest: Digest;
      /**
       * Since schema 2. This path is one more name (hard link) of the file at that path of the manifest: an earlier
       * file that is no link itself. Everything else here is as it stands there, because it is one inode.
       */
      readonly link?: string;
      /** Since schema 2. The attribute `security.capability`, hex; see file-capability.ts. */
      readonly capability?: string;
    }
  | {
      readonly path: string;
      readonly type: 'directory';
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly mtime: number;
    }
  | {
      readonly path: string;
      readonly type: 'symlink';
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly mtime: number;
      readonly target: string;
    };

/** Whose process the first one of a container is; names were looked up in the image when it was built. */
export interface ImageUser {
  /**
   * As the recipe or the image's source wrote it, such as `www-data` or `33:33`; images built on this one look it up
   * again.
   */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

export interface ImageManifest {
  /** 2 when it has something that schema 1 did not know; see {@link manifestSchema}. */
  readonly schema: 1 | 2;
  readonly name: string;
  readonly version: string;
  /** Debian's architecture name, e.g. `amd64`. */
  readonly architecture: string;
  /**
   * Identity of the content: digest over the canonical JSON of everything below but `recipeDigest`, without name and
   * version.
   */
  readonly contentDigest: Digest;
  readonly recipeDigest: Digest;
  /** `name@version` of the image this one was built from. */
  readonly parent?: string;
  readonly mountPlan: MountPlan;
  readonly mountScript: {
    readonly digest: Digest;
    readonly bytes: number;
    /** Brought by the recipe, not generated. */ readonly custom: boolean;
  };
  readonly environment: Readonly<Record<string, string>>;
  readonly timezone: string;
  /** Since schema 2. Words before every command, the image's own as well as a container's. */
  readonly entrypoint?: readonly string[];
  /** Default command: what runs when a container names none. Empty only after an entry point. */
  readonly command: readonly string[];
  /** Since schema 2. Absent: `/`. */
  readonly workingDirectory?: string;
  /** Since schema 2. Absent: root. */
  readonly user?: ImageUser;
  readonly stopSignal: string;
  /** Since schema 2. Such as `80/tcp`: what the image declares to listen on; nothing is opened by it. */
  readonly exposedPorts?: readonly string[];
  /** Since schema 2. Set-user-id files and file capabilities take effect; absent: they do not. */
  readonly privileges?: 'setuid';
  readonly totals: {
    readonly entries: number;
    /** Sum of the sizes of all files; one with several names counts once. */ readonly bytes: number;
  };
  /** Sorted by path (bytes); paths are relative to `root/`, without a leading slash; the root itself is `.`. */
  readonly entries: readonly ManifestEntry[];
}

/** `signature.json`: binds a name and version to digests. Signed: the canonical JSON of everything but `signature`. */
export interface SignedStatement {
  readonly schema: 1;
  readonly name: string;
  readonly version: string;
  readonly contentDigest: Digest;
  readonly manifestDigest: Digest;
  readonly manifestBytes: number;
  readonly archiveDigest: Digest;
  readonly archiveBytes: number;
  /** First 16 hex digits of the SHA-256 of the public key's DER form. */
  readonly keyId: string;
  /** Ed25519 (RFC 8032), base64. */
  readonly signature: string;
}

/** File names inside a version directory, in a repository and in a master repository. */
export const VERSION_FILES = {
  root: 'root',
  mountScript: 'mount.sh',
  manifest: 'manifest.json',
  statement: 'signature.json',
  /** Only while the version is damaged: nothing is started on it. */
  damage: 'damaged.json',
} as const;

/** `<name>-<version>.tar.zst`: members `mount.sh` and `root/**`, in manifest order. */
export function archiveFileName(name: string, version: string): string {
  return `${name}-${version}.tar.zst`;
}

/**
 * JSON with object keys sorted, no white space: one value, one text (the idea of RFC 8785, for the types used here).
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`);
    return `{${fields.join(',')}}`;
  }
  return JSON.stringify(value);
}

/**
 * The text whose SHA-256 is {@link ImageManifest.contentDigest}; hashing is the caller's (contracts touch no crypto).
 */
export function contentDigestInput(
  manifest: Omit<ImageManifest, 'contentDigest' | 'recipeDigest' | 'name' | 'version'>,
): string {
  const { parent, mountPlan, mountScript, environment, timezone, command, stopSignal, totals, entries } = manifest;
  const { entrypoint, workingDirectory, user, exposedPorts, privileges } = manifest;
  return canonicalJson({
    ...{ parent, mountPlan, mountScript, environment, timezone, command, stopSignal, totals, entries },
    // Absent ones leave no trace in the text, so images of schema 1 keep their digests.
    ...{ entrypoint, workingDirectory, user, exposedPorts, privileges },
  });
}

/** The oldest schema that can hold this: storage nodes and hosts with older software go on taking such images. */
export function manifestSchema(
  manifest: Pick<ImageManifest, 'entrypoint' | 'workingDirectory' | 'user' | 'exposedPorts' | 'privileges' | 'entries'>,
): 1 | 2 {
  const { entrypoint, workingDirectory, user, exposedPorts, privileges, entries } = manifest;
  const settings = [entrypoint, workingDirectory, user, exposedPorts, privileges];
  const newer = (entry: ManifestEntry): boolean =>
    entry.type === 'file' && (entry.link !== undefined || entry.capability !== undefined);
  return settings.some((setting) => setting !== undefined) || entries.some(newer) ? 2 : 1;
}

/** Bytes of all files, the names of one file counted once. */
export function contentBytes(entries: readonly ManifestEntry[]): number {
  return entries.reduce((sum, entry) => sum + (entry.type === 'file' && entry.link === undefined ? entry.size : 0), 0);
}

/** The text that {@link SignedStatement.signature} signs. */
export function signedText(statement: Omit<SignedStatement, 'signature'>): string {
  const { schema, name, version, contentDigest, manifestDigest, manifestBytes, archiveDigest, archiveBytes, keyId } =
    statement;
  return canonicalJson({
    schema,
    name,
    version,
    contentDigest,
    manifestDigest,
    manifestBytes,
    archiveDigest,
    archiveBytes,
    keyId,
  });
}

/** Directories every image has, because containers mount on them and the tree is read-only. */
export const REQUIRED_MOUNT_POINTS = [
  'proc',
  'sys',
  'dev',
  'run',
  'tmp',
  'etc',
  'var',
  'sw',
  'data',
  '.plinth',
] as const;

/** Of these, the places where the host puts mounts of its own: an image must not declare a writable place there. */
export const MOUNTED_BY_THE_HOST = ['proc', 'sys', 'sw', 'data', '.plinth'] as const;
