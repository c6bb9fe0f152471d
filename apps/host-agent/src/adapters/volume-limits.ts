/** Holds data volumes to their limits, by what the file system of each storage node can do. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type DiskLimiter, hasCode, openDiskLimits, SystemCallError } from '@plinth/host-os';
import type { StorageMounts } from '../domain/storage-mounts.js';

export interface DiskUse {
  readonly usedBytes: number;
  readonly limitBytes: number;
}

/** A file system that counts files gets one for so many bytes: more than that are a filler's, not a service's. */
const BYTES_PER_FILE = 8 * 1024;
const LEAST_FILES = 1_000;

export class VolumeLimits {
  /** By storage node; a text is the reason why it can't. */
  private readonly limiters = new Map<string, DiskLimiter | string>();
  /** By path of the directory. */
  private readonly handles = new Map<string, number>();

  constructor(private readonly storage: StorageMounts) {
    for (const node of storage.keys()) this.refresh(node);
  }

  /** Storage nodes on which this host can hold a volume to a limit. */
  get nodes(): string[] {
    return [...this.limiters].flatMap(([node, limiter]) => (typeof limiter === 'string' ? [] : [node]));
  }

  /** How, or why not, for each storage node. */
  describe(): { readonly node: string; readonly how?: string; readonly problem?: string }[] {
    return [...this.limiters].map(([node, limiter]) =>
      typeof limiter === 'string' ? { node, problem: limiter } : { node, how: limiter.how },
    );
  }

  /** The directory can be limited from now on, and is empty unless it could be before. @throws SystemCallError */
  makeDirectory(node: string, path: string): void {
    const limiter = this.refresh(node);
    if (typeof limiter === 'string') throw new Error(`a directory with a limit on ${node}: ${limiter}`);
    try {
      limiter.makeDirectory(path, 0o755);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      if (limiter.canLimit(path)) return;
      // It was made before the volume had an owner, by a start that was interrupted.
      rmSync(path, { recursive: true });
      limiter.makeDirectory(path, 0o755);
    }
  }

  /** Sets the limit, also again. @returns why it can't be held, for people */
  hold(node: string, path: string, bytes: number): string | undefined {
    const limiter = this.refresh(node);
    if (typeof limiter === 'string') return `the storage of ${node} can not hold a volume to a limit: ${limiter}`;
    try {
      if (!limiter.canLimit(path)) return `${path} was made without a limit, and can not be given one`;
      limiter.limit(path, { bytes, files: Math.max(LEAST_FILES, Math.floor(bytes / BYTES_PER_FILE)) });
      this.handles.set(path, limiter.handleOf(path));
      return undefined;
    } catch (error) {
      if (error instanceof SystemCallError) return `the limit of ${path} could not be set: ${error.message}`;
      throw error;
    }
  }

  /** undefined: it is not held to a limit, or is gone. */
  use(node: string, path: string, limitBytes: number): DiskUse | undefined {
    const limiter = this.limiters.get(node);
    if (limiter === undefined || typeof limiter === 'string') return undefined;
    try {
      const handle = this.handles.get(path) ?? limiter.handleOf(path);
      this.handles.set(path, handle);
      const usage = limiter.usage(handle);
      if (usage === undefined) this.handles.delete(path);
      return usage && { usedBytes: usage.bytes, limitBytes };
    } catch (error) {
      this.handles.delete(path);
      if (error instanceof SystemCallError || hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  forget(path: string): void {
    this.handles.delete(path);
  }

  /** Removes what file systems keep of limits whose volume is gone. */
  sweep(): void {
    for (const limiter of this.limiters.values()) if (typeof limiter !== 'string') limiter.sweep();
  }

  private refresh(node: string): DiskLimiter | string {
    const mount = this.storage.get(node);
    const before = this.limiters.get(node);
    if (mount !== undefined && (before === undefined || typeof before === 'string'))
      this.limiters.set(node, openDiskLimits(join(mount, 'volumes')));
    return this.limiters.get(node) ?? 'it is not mounted on this host';
  }
}

/** As `mkdir -p`, with a directory below that can be limited where the config asks for that. */
export function makeLimited(limits: VolumeLimits, node: string, volume: string, name: string): void {
  mkdirSync(volume, { recursive: true, mode: 0o700 });
  limits.makeDirectory(node, `${volume}/${name}`);
}
