/** Disks that can be full: a memory file system of limited size for the hosts' state, and one for the storage nodes. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

const SIZES = { hosts: '96m', storage: '256m' } as const;
export type Disk = keyof typeof SIZES;
export const DISKS = Object.keys(SIZES) as Disk[];

const FILLER = '.filler';

export class LimitedDisks {
  /** Call it before the stack is started. */
  constructor(private readonly home: string) {
    for (const disk of DISKS) {
      mkdirSync(join(home, disk), { mode: 0o711 });
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZES[disk]},mode=711`, 'tmpfs', join(home, disk)]);
    }
  }

  /** Fills it until nothing more fits. */
  fill(disk: Disk): void {
    const path = join(this.home, disk, FILLER);
    closeSync(openSync(path, 'w'));
    for (;;) {
      const { bavail, bsize } = statfsSync(join(this.home, disk));
      if (bavail === 0) return;
      try {
        execFileSync('fallocate', ['--offset', String(sizeOf(path)), '--length', String(bavail * bsize), path], {
          stdio: 'ignore',
        });
      } catch {
        // Another process took some of the space meanwhile.
        if (statfsSync(join(this.home, disk)).bavail > 16) continue;
        return;
      }
    }
  }

  empty(disk: Disk): void {
    rmSync(join(this.home, disk, FILLER), { force: true });
  }

  mountPoints(): readonly string[] {
    return DISKS.map((disk) => join(this.home, disk));
  }

  /** Call it after the stack was stopped; their content is lost. */
  release(): void {
    for (const path of this.mountPoints()) execFileSync('umount', [path]);
  }
}

function sizeOf(path: string): number {
  return Number(execFileSync('stat', ['--format', '%s', path], { encoding: 'utf8' }));
}
