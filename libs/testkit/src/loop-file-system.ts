/** A file system in a file, mounted in a test's directory; needs root and mkfs programs. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface LoopFileSystem {
  readonly path: string;
  /** Unmounts it, which also frees its loop device. */
  close(): void;
}

const MIB = 1024 ** 2;

export function loopFileSystem(directory: string, type: 'btrfs' | 'ext4', mebibytes: number): LoopFileSystem {
  const file = join(directory, `${type}.image`);
  const path = join(directory, type);
  mkdirSync(path, { recursive: true });
  writeFileSync(file, '');
  truncateSync(file, mebibytes * MIB);
  execFileSync(`mkfs.${type}`, ['-q', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  execFileSync('mount', ['-o', 'loop,nosuid,nodev', file, path]);
  return {
    path,
    close: () => {
      execFileSync('umount', [path]);
      rmSync(file);
    },
  };
}
