/** A container's limits for people, and those that it has reached. */
import type { Bandwidth, EffectiveLimits, IoLimits, ReachedLimit } from '@plinth/contracts';
import { age, bytes, counted } from './table.js';

const UNITS: readonly (readonly [string, number])[] = [
  ['gbit', 1_000_000_000],
  ['mbit', 1_000_000],
  ['kbit', 1_000],
];

/** `100mbit`, as it is written on the command line. */
export function rate(bitsPerSecond: number): string {
  const [unit, bits] = UNITS.find(([, size]) => bitsPerSecond >= size) ?? ['bit', 1];
  return `${Number((bitsPerSecond / bits).toFixed(3))}${unit}`;
}

/** @returns null when there is none */
export function describeBandwidth(bandwidth: Bandwidth | undefined): string | null {
  if (bandwidth === undefined) return null;
  const { receiveBitsPerSecond: received, sendBitsPerSecond: sent } = bandwidth;
  if (received === sent && received !== undefined) return `${rate(received)} in, ${rate(received)} out`;
  return [received !== undefined && `${rate(received)} in`, sent !== undefined && `${rate(sent)} out`]
    .filter((part) => part !== false)
    .join(', ');
}

export function describeLimits({ memoryBytes, cpus, pids, diskBytes, openFiles }: EffectiveLimits): string {
  return [
    `${bytes(memoryBytes)} of memory`,
    counted(cpus, 'core'),
    counted(pids, 'process', 'processes'),
    openFiles !== undefined && `${counted(openFiles, 'open file')} each`,
    diskBytes !== undefined && `${bytes(diskBytes)} of disk`,
  ]
    .filter((part) => part !== false)
    .join(', ');
}

export function describeIo(io: IoLimits | undefined): string | null {
  if (io === undefined) return null;
  return [
    io.weight !== undefined && `weight ${io.weight}`,
    io.readBytesPerSecond !== undefined && `reads ${bytes(io.readBytesPerSecond)}/s`,
    io.writeBytesPerSecond !== undefined && `writes ${bytes(io.writeBytesPerSecond)}/s`,
    io.readOperationsPerSecond !== undefined && `${io.readOperationsPerSecond} reads/s`,
    io.writeOperationsPerSecond !== undefined && `${io.writeOperationsPerSecond} writes/s`,
  ]
    .filter((part) => part !== false)
    .join(', ');
}

/** `memory 5m, disk 2h`: which limits, and how long ago the last time was; null: none. */
export function describeReached(reached: readonly ReachedLimit[] | undefined, nowMs: number): string | null {
  if (reached === undefined || reached.length === 0) return null;
  return reached.map(({ limit, at }) => `${limit} ${age(at, nowMs)}`).join(', ');
}

/** `64.0 MiB of memory: 3 times from … to …` */
export function describeReachedLimit({ limit, value, count, since, at }: ReachedLimit): string {
  const what = limit === 'pids' ? counted(value, 'process', 'processes') : `${bytes(value)} of ${limit}`;
  const when = since === at ? `at ${at}` : `from ${since} to ${at}`;
  return `${what}: ${counted(count, 'time')} ${when}`;
}
