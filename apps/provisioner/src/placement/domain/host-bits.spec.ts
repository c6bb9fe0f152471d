import { describe, expect, it } from '@jest/globals';
import { HostBits } from './host-bits.js';

describe('which hosts hold which images', () => {
  it('is what each host has reported last', () => {
    const bits = new HostBits();
    const hosts = Array.from({ length: 100 }, (_, index) => `host-${index}`);
    for (const [index, host] of hosts.entries()) bits.set(host, ['a@v1', ...(index % 2 === 0 ? ['b@v1'] : [])]);
    bits.set('host-2', ['c@v1']);
    bits.set('host-3', []);
    const of = (image: string): string[] => hosts.filter((host) => bits.of(image).has(host));
    expect(of('a@v1')).toEqual(hosts.filter((host) => host !== 'host-2' && host !== 'host-3'));
    expect(of('b@v1')).toEqual(hosts.filter((host, index) => index % 2 === 0 && host !== 'host-2'));
    expect(of('c@v1')).toEqual(['host-2']);
    expect(bits.of('a@v1').has('unknown')).toBe(false);
    expect(of('d@v1')).toEqual([]);
  });
});
