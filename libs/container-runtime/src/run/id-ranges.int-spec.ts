/** Claims are made by the file system, between agents of one machine. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { scratchDirectory } from '@plinth/testkit';
import { RANGE_SIZE } from '../spec/oci-config.js';
import { IdRanges, type IdRangesOptions } from './id-ranges.js';

const scratch = scratchDirectory();
afterAll(() => scratch.stop());

let directory: string;
let options: Partial<IdRangesOptions>;

beforeEach(() => {
  directory = join(scratch.path, randomBytes(4).toString('hex'));
  options = { directory: join(directory, 'ids'), first: 8, count: 3 };
});

/** A container that has a bundle. */
function container(): { readonly id: string; readonly bundle: string } {
  const id = randomBytes(16).toString('hex');
  const bundle = join(directory, 'bundles', id);
  mkdirSync(bundle, { recursive: true });
  return { id, bundle };
}

describe('ranges of ids', () => {
  it('are claimed once, by whichever agent comes first, until none is free', () => {
    const agents = [new IdRanges(options), new IdRanges(options)] as const;
    const claimed = [0, 1, 0].map((agent) => {
      const { id, bundle } = container();
      return agents[agent as 0 | 1].claim(id, bundle);
    });
    expect([...claimed].sort()).toEqual([8, 9, 10].map((range) => range * RANGE_SIZE));
    const { id, bundle } = container();
    expect(agents[1].claim(id, bundle)).toBeUndefined();
    expect(agents[1].usage()).toEqual({ taken: 3, of: 3 });
  });

  it('are the same for a container after a restart, and after its agent was killed at any point', () => {
    const ranges = new IdRanges(options);
    const { id, bundle } = container();
    const first = ranges.claim(id, bundle);
    expect(ranges.claim(id, bundle)).toBe(first);
    ranges.release(bundle, first);
    expect(readdirSync(join(directory, 'ids'))).toEqual([]);
    expect(ranges.claim(id, bundle)).toBe(first);
    // The bundle was not whole: which range it has is not known.
    ranges.release(bundle, undefined);
    expect(readdirSync(join(directory, 'ids'))).toEqual([]);
  });

  it('are released by their holder only', () => {
    const ranges = new IdRanges({ ...options, count: 1 });
    const [holder, other] = [container(), container()];
    const range = ranges.claim(holder.id, holder.bundle);
    ranges.release(other.bundle, range);
    expect(ranges.claim(other.id, other.bundle)).toBeUndefined();
  });

  it('of containers that are gone with their state directory are used again, unless a process is left', () => {
    const alive = new Set<string>();
    const ranges = new IdRanges({ ...options, count: 2, isAlive: (bundle) => alive.has(bundle) });
    const [gone, running, next] = [container(), container(), container()];
    const freed = ranges.claim(gone.id, gone.bundle);
    ranges.claim(running.id, running.bundle);
    alive.add(running.bundle);
    for (const { bundle } of [gone, running]) rmSync(bundle, { recursive: true });
    expect(ranges.claim(next.id, next.bundle)).toBe(freed);
    const late = container();
    expect(ranges.claim(late.id, late.bundle)).toBeUndefined();
  });

  it('are in the range that systemd keeps for containers', () => {
    const ranges = new IdRanges({ directory: options.directory as string });
    for (const id of ['00000000', 'ffffffff', '00006ff7']) {
      const { bundle } = container();
      const first = ranges.claim(id.padEnd(32, '0'), bundle) ?? 0;
      expect(first).toBeGreaterThanOrEqual(524_288);
      expect(first + RANGE_SIZE - 1).toBeLessThanOrEqual(1_879_048_191);
    }
  });
});
