/**
 * A root file system of a few megabytes from this machine's own programs and their libraries: quick to build images
 * from.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

const PROGRAMS = [
  '/bin/sh',
  '/bin/cat',
  '/bin/sleep',
  '/bin/touch',
  '/bin/id',
  '/bin/ls',
  '/bin/ln',
  '/bin/mkdir',
  '/bin/mkfifo',
  '/bin/rm',
  // What a mount script runs: it has the programs of its image.
  '/bin/awk',
  '/bin/chmod',
  '/bin/chown',
  '/bin/cp',
  '/bin/mount',
  '/bin/umount',
];

export interface SmallRootfs {
  readonly path: string;
  readonly sha256: string;
}

/** What a test wants beside that; everything has the place that it has on this machine. */
export interface MoreOfThisMachine {
  /** Paths of programs in `/bin`. */
  readonly programs?: readonly string[];
  /** Paths of directories below `/usr`. */
  readonly directories?: readonly string[];
}

export function makeSmallRootfs(scratch: string, tarball: string, more: MoreOfThisMachine = {}): SmallRootfs {
  const root = join(scratch, 'small-rootfs');
  for (const directory of ['usr/bin', 'usr/lib', 'etc', 'root', 'var/log', 'run', 'tmp'])
    mkdirSync(join(root, directory), { recursive: true });
  for (const [link, target] of [
    ['bin', 'usr/bin'],
    ['lib', 'usr/lib'],
    ['lib64', 'usr/lib'],
  ] as const)
    symlinkSync(target, join(root, link));
  for (const program of [...PROGRAMS, ...(more.programs ?? [])]) {
    copy(realpathSync(program), join(root, 'usr', program));
    for (const [, library] of execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)) {
      if (library) copy(realpathSync(library), join(root, 'usr/lib', library.slice(library.lastIndexOf('/') + 1)));
    }
  }
  for (const directory of more.directories ?? []) cpSync(directory, join(root, directory), { recursive: true });
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
  execFileSync('tar', [
    '--create',
    '--gzip',
    '--numeric-owner',
    '--owner=0',
    '--group=0',
    '--mtime=@1600000000',
    '--file',
    tarball,
    '--directory',
    root,
    '.',
  ]);
  rmSync(root, { recursive: true });
  return { path: tarball, sha256: createHash('sha256').update(readFileSync(tarball)).digest('hex') };
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}
