import { describe, expect, it } from '@jest/globals';
import { FairPlaces, type Occupant } from './fair-places.js';

const evicted: string[] = [];
let last = 0;
function occupant(group: string, asker = group): Occupant & { readonly name: string } {
  const name = `${group} ${(last += 1)}`;
  return { group, asker, name, evict: () => evicted.push(name) };
}

describe('places', () => {
  it('are bounded for each asker', () => {
    const places = new FairPlaces(10, 2);
    expect([1, 2, 3].map(() => places.take(occupant('a')))).toEqual([true, true, false]);
    expect(places.take(occupant('a', 'another of a'))).toBe(true);
  });

  it('are given up by the group that holds most, the oldest first', () => {
    evicted.length = 0;
    const places = new FairPlaces(4, 4);
    const [first, second] = [occupant('flood'), occupant('flood')];
    for (const one of [first, second, occupant('flood'), occupant('flood')]) expect(places.take(one)).toBe(true);
    expect(places.take(occupant('quiet'))).toBe(true);
    expect(evicted).toEqual([first.name]);
    expect(places.take(occupant('quiet'))).toBe(true);
    expect(evicted).toEqual([first.name, second.name]);
    // Two each: the next of either group gets none.
    expect(places.take(occupant('quiet'))).toBe(false);
    expect(places.take(occupant('flood'))).toBe(false);
    expect(places.size).toBe(4);
  });

  it('are free when they are released, once', () => {
    const places = new FairPlaces(1, 1);
    const [one, other] = [occupant('a'), occupant('b')];
    expect(places.take(one)).toBe(true);
    expect(places.take(other)).toBe(false);
    places.release(one);
    places.release(one);
    expect(places.size).toBe(0);
    expect(places.take(other)).toBe(true);
  });

  it('of a tenant with many askers are no more than those of others', () => {
    const places = new FairPlaces(8, 2);
    const flood = Array.from({ length: 8 }, (_, index) => occupant('flood', `asker ${index}`));
    expect(flood.every((one) => places.take(one))).toBe(true);
    expect([1, 2].map(() => places.take(occupant('quiet')))).toEqual([true, true]);
  });
});
