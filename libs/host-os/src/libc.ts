/**
 * Calls of the C library that Node.js does not offer. The only file of the project that uses the foreign function
 * interface.
 */
import { constants } from 'node:os';
import koffi from 'koffi';

const NAMES: ReadonlyMap<number, string> = new Map(
  // EWOULDBLOCK is another name of EAGAIN on Linux, errno(3).
  Object.entries(constants.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'EOPNOTSUPP')
    .map(([name, errno]) => [errno, name]),
);

/** e.g. `ENOLCK`; `errno 9999` for a number that Node.js does not know. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** A call that the kernel or the C library refused. */
export class SystemCallError extends Error {
  override readonly name: string = 'SystemCallError';
  /** e.g. `ENOLCK`, as Node.js names its own errors. */
  readonly code: string;
  constructor(
    /** What was called, e.g. `flock` or `posix_spawn /usr/bin/conmon`. */
    readonly syscall: string,
    readonly errno: number,
    about?: string,
  ) {
    super(`${errnoName(errno)}: ${syscall}${about === undefined ? '' : ` ${about}`} failed`);
    this.code = errnoName(errno);
  }
}

export interface BoundCall {
  /** Calls in this thread: the event loop waits. */
  (...args: unknown[]): number;
  /** Calls in a thread of the interface's pool. {@link lastErrno} within `done` is that of this call. */
  async(...args: [...unknown[], (error: Error | null, result: number) => void]): void;
}

let library: ReturnType<typeof koffi.load> | undefined;

/** @param prototype in C, e.g. `int flock(int fd, int operation)`. Bind once: each binding takes memory. */
export function bindCall(prototype: string): BoundCall {
  library ??= koffi.load('libc.so.6');
  return library.func(prototype) as unknown as BoundCall;
}

/** A library of the machine besides the C library. */
export interface ForeignLibrary {
  /** @param prototype in C; strings that the library returns are copied. Bind once: each binding takes memory. */
  bind<Result>(prototype: string): (...args: unknown[]) => Result;
}

/** @returns the reason as text when the machine does not have it */
export function openLibrary(name: string): ForeignLibrary | string {
  try {
    const opened = koffi.load(name);
    return {
      bind: <Result>(prototype: string) => opened.func(prototype) as unknown as (...args: unknown[]) => Result,
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** errno(3) of the last call of this thread; to be read before anything else is called. */
export function lastErrno(): number {
  return koffi.errno();
}
