import { describe, expect, it } from '@jest/globals';
import { Silence } from './silence.js';

const node = (name: string, beats: number): { name: string; beats: string } => ({ name, beats: String(beats) });

describe('silence', () => {
  it('is counted from the last check at which the count of heartbeats had grown', () => {
    const silence = new Silence();
    expect(silence.among([node('a', 1), node('b', 1)], 1_000)(2)).toEqual([]);
    expect(silence.among([node('a', 2), node('b', 1)], 2_500)(2)).toEqual([]);
    expect(silence.among([node('a', 2), node('b', 1)], 3_000)(2)).toEqual([node('b', 1)]);
    expect(silence.among([node('a', 2), node('b', 2)], 4_500)(2)).toEqual([node('a', 2)]);
  });

  it('begins when a node is first checked: no heartbeat was received before', () => {
    const silence = new Silence();
    expect(silence.among([node('a', 7)], 1_000_000)(1)).toEqual([]);
    expect(silence.among([node('a', 7)], 1_001_000)(1)).toEqual([node('a', 7)]);
  });
});
