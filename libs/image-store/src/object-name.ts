/** Names of objects. One object is one inode, so its name covers everything that an inode carries. */
import { hash } from 'node:crypto';
import type { Digest, ManifestEntry } from '@plinth/contracts';

export type FileEntry = ManifestEntry & { readonly type: 'file' };

/** What an inode carries; the names of the file are not part of it. */
export interface ObjectIdentity {
  readonly digest: Digest;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  /** `security.capability`, hex. */
  readonly capability?: string;
}

/** 64 hex digits. When this text changes, no tree finds an object of before: it has a number for that. */
export function objectName(identity: ObjectIdentity): string {
  const { digest, size, mode, uid, gid, mtime, capability = '-' } = identity;
  return hash('sha256', `plinth object 1\n${digest} ${size} ${mode} ${uid} ${gid} ${mtime} ${capability}\n`, 'hex');
}
