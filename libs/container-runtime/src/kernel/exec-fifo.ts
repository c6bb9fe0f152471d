/**
 * Depends on: how crun holds a created container: its first process reads from the pipe `<id>/exec.fifo`, and one byte
 * lets it go. Seen with crun 1.8.1; runc does it the other way round and is not treated so.
 * Noticed by: oci-runtime.int-spec.ts, with every start; exec-fifo.int-spec.ts for the pipe itself.
 * Instead: where there is no such pipe, or no process waits at it, the runtime's own `start` is called.
 */
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';

/**
 * Lets a created container's first process go, as `crun start` does: a byte on the pipe that it waits on. The runtime
 * as a process of its own takes several milliseconds for that. False: no process waits there; the runtime reports why.
 *
 * The pipe is removed after the byte: a process that dies in between leaves a container that counts as not started, and
 * is started again.
 */
export function letGo(runtimeRoot: string, id: string): boolean {
  const path = `${runtimeRoot}/${id}/exec.fifo`;
  let pipe: number;
  try {
    pipe = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    // ENXIO: the process that waited is gone.
    if (['ENOENT', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
  try {
    writeSync(pipe, Buffer.alloc(1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return false;
    throw error;
  } finally {
    closeSync(pipe);
  }
  unlinkSync(path);
  return true;
}
