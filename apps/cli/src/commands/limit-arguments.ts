/** Words about a container's limits, as they are written on the command line. */
import {
  type Bandwidth,
  type IoLimits,
  LEAST_BANDWIDTH,
  LEAST_DISK,
  LEAST_OPEN_FILES,
  MOST_BANDWIDTH,
  MOST_DISK,
  MOST_OPEN_FILES,
  type ResourceLimits,
} from '@plinth/contracts';
import { InvalidArgumentError } from 'commander';
import { parseSize } from './arguments.js';

export const LIMITS_HELP = `
Limits:
  --bandwidth 100mbit               what it receives, and what it sends, each 100,000,000 bits a second at the most
  --bandwidth in=1gbit,out=20mbit   each for itself; units are kbit, mbit and gbit. It needs the network container
  --disk 1G                         its data volume; only on hosts that can hold it there (see plinth hosts)
  --io-weight 50                    share among containers that wait for the same disk, 10 to 1000, 100 for the others
  --io-max write=10M,read-ops=500   bytes a second: read, write; operations a second: read-ops, write-ops`;

/** The values of the options that name limits. */
export interface LimitOptions {
  memory?: number;
  cpus?: number;
  pids?: number;
  disk?: number;
  openFiles?: number;
  ioWeight?: number;
  ioMax?: IoLimits;
}

/** Absent: none of them was named. */
export function limitsOf(options: LimitOptions): ResourceLimits | undefined {
  const { memory, cpus, pids, disk, openFiles, ioWeight, ioMax } = options;
  const io = ioWeight === undefined && ioMax === undefined ? undefined : { weight: ioWeight, ...ioMax };
  const limits: ResourceLimits = { memoryBytes: memory, cpus, pids, diskBytes: disk, openFiles, io };
  return Object.values(limits).some((limit) => limit !== undefined) ? limits : undefined;
}

const RATE_FORMS = 'a bandwidth is written 100mbit, or in=100mbit,out=20mbit, with kbit, mbit or gbit';
const BITS: Readonly<Record<string, number>> = { kbit: 1_000, mbit: 1_000_000, gbit: 1_000_000_000 };

/** `100mbit`, `in=100mbit,out=20mbit`, `out=1.5gbit` */
export function parseBandwidth(text: string): Bandwidth {
  if (!text.includes('=')) {
    const both = parseRate(text);
    return { receiveBitsPerSecond: both, sendBitsPerSecond: both };
  }
  const { in: received, out: sent } = parseParts(text, ['in', 'out'], RATE_FORMS);
  return {
    ...(received !== undefined && { receiveBitsPerSecond: parseRate(received) }),
    ...(sent !== undefined && { sendBitsPerSecond: parseRate(sent) }),
  };
}

function parseRate(text: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)([kmg]bit)$/.exec(text);
  if (!match) throw new InvalidArgumentError(RATE_FORMS);
  const bits = Math.round(Number(match[1]) * (BITS[match[2] ?? ''] ?? Number.NaN));
  if (!(bits >= LEAST_BANDWIDTH && bits <= MOST_BANDWIDTH))
    throw new InvalidArgumentError('a bandwidth is 64kbit to 100gbit');
  return bits;
}

/** `1G` → bytes. */
export function parseDisk(text: string): number {
  const bytes = parseSize(text);
  if (!(bytes >= LEAST_DISK && bytes <= MOST_DISK)) throw new InvalidArgumentError('a disk is 1M to 1024T');
  return bytes;
}

/** `65536` */
export function parseOpenFiles(text: string): number {
  return parseWithin(text, LEAST_OPEN_FILES, MOST_OPEN_FILES);
}

/** `10` to `1000` */
export function parseIoWeight(text: string): number {
  return parseWithin(text, 10, 1000);
}

function parseWithin(text: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw new InvalidArgumentError(`a number of ${least} to ${most} is needed`);
  return value;
}

type IoMaxima = Omit<IoLimits, 'weight'>;
const IO_FORMS = 'maxima are written read=10M,write=10M,read-ops=500,write-ops=500, each of them once or not at all';
const IO_KEYS = ['read', 'write', 'read-ops', 'write-ops'] as const;

/** `write=10M,read-ops=500` */
export function parseIoMax(text: string): IoMaxima {
  const { read, write, 'read-ops': reads, 'write-ops': writes } = parseParts(text, IO_KEYS, IO_FORMS);
  const bytes = (size: string): number => {
    const found = parseSize(size);
    if (!(found >= 4096 && found <= 1024 ** 4)) throw new InvalidArgumentError('bytes a second are 4K to 1T');
    return found;
  };
  const operations = (count: string): number => parseWithin(count, 1, 100_000_000);
  return {
    ...(read !== undefined && { readBytesPerSecond: bytes(read) }),
    ...(write !== undefined && { writeBytesPerSecond: bytes(write) }),
    ...(reads !== undefined && { readOperationsPerSecond: operations(reads) }),
    ...(writes !== undefined && { writeOperationsPerSecond: operations(writes) }),
  };
}

/** `a=1,b=2`: each of the keys once at the most, and no other. */
function parseParts<Key extends string>(
  text: string,
  keys: readonly Key[],
  forms: string,
): Partial<Record<Key, string>> {
  const found: Partial<Record<Key, string>> = {};
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    const key = keys.find((known) => known === part.slice(0, Math.max(equals, 0)));
    if (key === undefined || found[key] !== undefined || equals === part.length - 1)
      throw new InvalidArgumentError(forms);
    found[key] = part.slice(equals + 1);
  }
  return found;
}
