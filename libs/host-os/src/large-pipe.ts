/** A pipe between a child process and this one, for much data. Node.js itself makes a pair of sockets, which costs more. */
import { bindCall, type BoundCall, lastErrno, SystemCallError } from './libc.js';

/** fcntl(2) of Linux, and the largest pipe that any user may make by default, pipe(7). */
const F_SETPIPE_SZ = 1031;
const LARGE = 1024 ** 2;
const O_CLOEXEC = 0o2_000_000;

let calls: { readonly pipe2: BoundCall; readonly fcntl: BoundCall; readonly close: BoundCall } | undefined;

export interface LargePipe {
  /** Descriptors, which other child processes do not inherit. The caller closes this one as it likes. */
  readonly reading: number;
  readonly writing: number;
  /** To be called once. Node.js would warn of a descriptor that it has not opened. */
  closeWriting(): void;
}

/** Of a mebibyte where the user may have one, else of the usual size. @throws SystemCallError */
export function openLargePipe(): LargePipe {
  const { pipe2, fcntl, close } = (calls ??= {
    pipe2: bindCall('int pipe2(_Out_ int *ends, int flags)'),
    fcntl: bindCall('int fcntl(int fd, int command, ...)'),
    close: bindCall('int close(int fd)'),
  });
  const ends = [0, 0];
  if (pipe2(ends, O_CLOEXEC) !== 0) throw new SystemCallError('pipe2', lastErrno());
  const [reading = -1, writing = -1] = ends;
  fcntl(writing, F_SETPIPE_SZ, 'int', LARGE);
  return { reading, writing, closeWriting: () => void close(writing) };
}
