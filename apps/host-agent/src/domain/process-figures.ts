/** Parses what the kernel shows of a process: /proc/<pid>/smaps_rollup and /proc/<pid>/mountinfo (proc(5)). */
import type { ContainerStats } from '@plinth/contracts';

export interface MemorySum {
  readonly privateBytes: number;
  readonly sharedBytes: number;
  readonly proportionalBytes: number;
}

export function parseSmapsRollup(text: string): MemorySum {
  let privateKb = 0;
  let sharedKb = 0;
  let proportionalKb = 0;
  for (const [, name, kb] of text.matchAll(/^(\w+):\s+(\d+) kB$/gm)) {
    if (name === 'Private_Clean' || name === 'Private_Dirty') privateKb += Number(kb);
    else if (name === 'Shared_Clean' || name === 'Shared_Dirty') sharedKb += Number(kb);
    else if (name === 'Pss') proportionalKb += Number(kb);
  }
  return { privateBytes: privateKb * 1024, sharedBytes: sharedKb * 1024, proportionalBytes: proportionalKb * 1024 };
}

/** The mounts in mount order. Octal escapes (space, tab, newline, backslash) are decoded. */
export function parseMountInfo(text: string): ContainerStats['mounts'] {
  return text.split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ', 2);
    const fields = left?.split(' ') ?? [];
    const target = fields[4];
    const type = right?.split(' ')[0];
    const superOptions = right?.split(' ')[2] ?? '';
    if (target === undefined || type === undefined) return [];
    const readOnly = [fields[5] ?? '', superOptions].some((options) => options.split(',').includes('ro'));
    return [
      {
        target: target.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
        type,
        readOnly,
      },
    ];
  });
}
