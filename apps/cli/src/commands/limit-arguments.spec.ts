import { describe, expect, it } from '@jest/globals';
import { parseBandwidth, parseDisk, parseIoMax, parseIoWeight, parseOpenFiles } from './limit-arguments.js';

describe('a bandwidth', () => {
  it.each([
    ['100mbit', { receiveBitsPerSecond: 100_000_000, sendBitsPerSecond: 100_000_000 }],
    ['64kbit', { receiveBitsPerSecond: 64_000, sendBitsPerSecond: 64_000 }],
    ['in=1.5gbit', { receiveBitsPerSecond: 1_500_000_000 }],
    ['out=20mbit,in=100gbit', { receiveBitsPerSecond: 100_000_000_000, sendBitsPerSecond: 20_000_000 }],
  ])('is read from %s', (text, expected) => expect(parseBandwidth(text)).toEqual(expected));

  it.each([
    ...['', '100', '100m', '100mb', '100MBit', '100mbps', '1e3mbit', '-1mbit', ' 1mbit', '0mbit', '63kbit', '101gbit'],
    ...['in=', 'in=1mbit,in=2mbit', 'up=1mbit', 'in=1mbit,2mbit', 'in=1mbit;out=1mbit', '=1mbit', 'in=1mbit,'],
  ])('is not read from %j', (text) => expect(() => parseBandwidth(text)).toThrow(/bandwidth is/));
});

describe('other limits', () => {
  it('are read', () => {
    expect(parseDisk('1G')).toBe(1024 ** 3);
    expect(parseOpenFiles('1024')).toBe(1024);
    expect(parseIoWeight('1000')).toBe(1000);
    expect(parseIoMax('write=10M,read-ops=500')).toEqual({
      writeBytesPerSecond: 10 * 1024 ** 2,
      readOperationsPerSecond: 500,
    });
    expect(parseIoMax('read=4K,write-ops=1')).toEqual({ readBytesPerSecond: 4096, writeOperationsPerSecond: 1 });
  });

  it.each<[string, () => unknown]>([
    ['a disk that is too small', () => parseDisk('1023K')],
    ['a disk that is too large', () => parseDisk('2048T')],
    ['a disk without a number', () => parseDisk('much')],
    ['too few files', () => parseOpenFiles('15')],
    ['too many files', () => parseOpenFiles('1048577')],
    ['a weight below 10', () => parseIoWeight('9')],
    ['a weight that is too large', () => parseIoWeight('1001')],
    ['a key that is not known', () => parseIoMax('bytes=1M')],
    ['one that is there twice', () => parseIoMax('read=1M,read=2M')],
    ['a rate below a page', () => parseIoMax('read=1K')],
    ['no operation', () => parseIoMax('read-ops=0')],
    ['nothing', () => parseIoMax('')],
  ])('are refused: %s', (_what, parse) => expect(parse).toThrow(/number|size|disk is|maxima|bytes a second/));
});
