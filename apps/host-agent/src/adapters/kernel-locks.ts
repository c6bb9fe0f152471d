/** Who holds a flock(2), without asking for it: asking could take it from whoever starts at this moment. */
import { readFileSync, statSync } from 'node:fs';
import { isMissing } from './durable-file.js';

/** From proc(5) /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 08:01:13 0 EOF`. */
export function isLocked(path: string): boolean {
  let inode: number;
  try {
    inode = statSync(path).ino;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((line) => {
      const [, kind, , , , place = ''] = line.trim().split(/\s+/);
      return kind === 'FLOCK' && Number(place.split(':')[2]) === inode;
    });
}
