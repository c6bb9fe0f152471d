/** Limits of a container beyond memory, processor time and processes; and the limits that it has reached. */
import { IsIn, IsISO8601, IsOptional, Max, ValidateBy } from 'class-validator';
import { IsCount } from './rules.js';

/** Below it a window of TCP does not fit into a second. */
export const LEAST_BANDWIDTH = 64_000;
export const MOST_BANDWIDTH = 100_000_000_000;

/** An object of limits that holds none is a mistake of the one who wrote it. */
export const HoldsSome = (...fields: readonly string[]): PropertyDecorator =>
  ValidateBy({
    name: 'holdsSome',
    validator: {
      validate: (value: unknown) =>
        value === null || typeof value !== 'object' || fields.some((field) => (value as never)[field] !== undefined),
      defaultMessage: (args) => `${args?.property ?? ''} must have ${fields.join(' or ')}`,
    },
  });

/** What a container may receive and send by its own network, each a limit for itself; absent: no limit. */
export class Bandwidth {
  /** Bits per second that it receives. */
  @IsOptional()
  @IsCount(LEAST_BANDWIDTH)
  @Max(MOST_BANDWIDTH)
  receiveBitsPerSecond?: number;

  /** Bits per second that it sends. */
  @IsOptional()
  @IsCount(LEAST_BANDWIDTH)
  @Max(MOST_BANDWIDTH)
  sendBitsPerSecond?: number;
}

export const IsBandwidth = (): PropertyDecorator => HoldsSome('receiveBitsPerSecond', 'sendBitsPerSecond');

const MOST_BYTES_PER_SECOND = 1024 ** 4;
const MOST_OPERATIONS_PER_SECOND = 100_000_000;

/** Input and output of a container on the disks of its host, where the host's kernel limits it; absent: no limit. */
export class IoLimits {
  /** Share among containers that wait for the same disk, 10 to 1000; absent: 100. */
  @IsOptional()
  @IsCount(10)
  @Max(1000)
  weight?: number;

  @IsOptional()
  @IsCount(4096)
  @Max(MOST_BYTES_PER_SECOND)
  readBytesPerSecond?: number;

  @IsOptional()
  @IsCount(4096)
  @Max(MOST_BYTES_PER_SECOND)
  writeBytesPerSecond?: number;

  @IsOptional()
  @IsCount(1)
  @Max(MOST_OPERATIONS_PER_SECOND)
  readOperationsPerSecond?: number;

  @IsOptional()
  @IsCount(1)
  @Max(MOST_OPERATIONS_PER_SECOND)
  writeOperationsPerSecond?: number;
}

export const IsIoLimits = (): PropertyDecorator =>
  HoldsSome(
    'weight',
    'readBytesPerSecond',
    'writeBytesPerSecond',
    'readOperationsPerSecond',
    'writeOperationsPerSecond',
  );

export const IO_CONTROLS = ['weight', 'maxima'] as const;
/** `maxima`: bytes and operations per second. */
export type IoControl = (typeof IO_CONTROLS)[number];

/** Limits that a host may not be able to hold. `io-maxima`: bytes and operations of input and output per second. */
export const HOST_LIMITS = ['memory', 'cpus', 'pids', 'bandwidth', 'io-weight', 'io-maxima'] as const;
export type HostLimit = (typeof HOST_LIMITS)[number];

/** Those that only some containers have, as far as this one asks for them. */
export function requestedLimits(io: IoLimits | undefined, bandwidth: Bandwidth | undefined): HostLimit[] {
  const { weight, ...maxima } = io ?? {};
  return [
    ...(bandwidth ? ['bandwidth' as const] : []),
    ...(weight ? ['io-weight' as const] : []),
    ...(Object.values(maxima).some(Boolean) ? ['io-maxima' as const] : []),
  ];
}

/** Bytes of a data volume: below it a file system's own bookkeeping takes most of it. */
export const LEAST_DISK = 1024 ** 2;
export const MOST_DISK = 1024 ** 5;
export const LEAST_OPEN_FILES = 16;
export const MOST_OPEN_FILES = 1_048_576;

/** `memory`: a process was killed. `pids`: a process or thread was refused. `disk`: its data volume became full. */
export const REACHABLE_LIMITS = ['memory', 'pids', 'disk'] as const;
export type ReachableLimit = (typeof REACHABLE_LIMITS)[number];

/** A limit of a container that was reached; at most one a minute for each container and limit. */
export class ReachedLimit {
  @IsIn(REACHABLE_LIMITS)
  limit!: ReachableLimit;

  /** What it was: bytes, or processes and threads. */
  @IsCount()
  value!: number;

  /** How often from `since` to `at`. */
  @IsCount(1)
  count!: number;

  /** The first time that no earlier one counts. */
  @IsISO8601()
  since!: string;

  /** When it was last seen. */
  @IsISO8601()
  at!: string;
}
