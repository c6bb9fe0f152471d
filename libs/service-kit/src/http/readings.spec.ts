import { expect, it } from '@jest/globals';
import { register } from 'prom-client';
import { greatest, readTogether } from './readings.js';

const silent = { warn: () => undefined };
const lines = async (name: string): Promise<string[]> =>
  (await register.getSingleMetricAsString(name)).split('\n').filter((line) => !line.startsWith('#') && line !== '');

it('reads once for all gauges, and not again while the values are kept', async () => {
  let reads = 0;
  const read = async () => ({ a_things: [{ labels: { kind: 'x' }, value: ++reads }], b_things: [{ value: reads }] });
  readTogether({ a_things: { help: 'a', labels: ['kind'] }, b_things: { help: 'b' } }, read, silent, 60_000);
  expect([await lines('a_things'), await lines('b_things'), await lines('a_things')]).toEqual([
    ['a_things{kind="x"} 1'],
    ['b_things 1'],
    ['a_things{kind="x"} 1'],
  ]);
});

it('has no values when the reading fails, and values that are gone go', async () => {
  let found: readonly { labels: { kind: string }; value: number }[] | undefined = [{ labels: { kind: 'x' }, value: 1 }];
  const read = async () => {
    if (!found) throw new Error('away');
    return { c_things: found, d_things: [{ value: 1 }] };
  };
  readTogether({ c_things: { help: 'c', labels: ['kind'] }, d_things: { help: 'd' } }, read, silent, 0);
  expect(await lines('c_things')).toEqual(['c_things{kind="x"} 1']);
  found = [{ labels: { kind: 'y' }, value: 2 }];
  expect(await lines('c_things')).toEqual(['c_things{kind="y"} 2']);
  found = undefined;
  expect([await lines('c_things'), await lines('d_things')]).toEqual([[], []]);
});

it('adds up what is beyond the greatest', () => {
  const sample = (image: string, value: number) => ({ labels: { image }, value });
  const all = [sample('a', 1), sample('b', 5), sample('c', 3), sample('d', 2)];
  expect(greatest(all, 'image', 4)).toEqual(all);
  expect(greatest(all, 'image', 2)).toEqual([sample('other', 3), sample('b', 5), sample('c', 3)]);
});
