/**
 * Depends on: the kernel's cgroup_threadgroup_rwsem, a per-CPU semaphore: its first writer waits for an RCU grace
 * period, the next ones soon after do not. Seen with Linux 6.18 and cgroups of version 1; kernels with `favordynmods`
 * have no such wait.
 * Noticed by: npm run bench:start, in the mount phase. cgroup-lock.int-spec.ts: no process is moved, nothing stays
 * open.
 * Instead: nothing is needed; where the lock cannot be taken ahead, or is always ready, starts are right all the same.
 */
import { closeSync, existsSync, openSync, readFileSync, write } from 'node:fs';

const ROOT = '/sys/fs/cgroup';

/**
 * The kernel's lock for moving processes between cgroups. The first process that takes it after a while of quiet waits
 * for an RCU grace period, some 10 ms in which a container's start stands still; one that takes it soon after another
 * process does not wait. So the lock is taken once, in the thread pool, when a start is about to begin: the wait passes
 * while other things are done, and the runtime finds the lock ready.
 */
export class CgroupLock {
  #waiting = false;
  #unusable = false;

  /** Returns at once. Changes nothing: this process is moved to the cgroup that it is in. */
  warmUp(): void {
    if (this.#waiting || this.#unusable) return;
    const file = openOwnCgroup();
    // This process may not write it: starts go on without the lock, each with its wait.
    if (file === undefined) this.#unusable = true;
    else {
      this.#waiting = true;
      // `0` is the writer's own process, cgroups(7).
      write(file, '0', null, (error) => {
        this.#waiting = false;
        this.#unusable = error !== null;
        closeSync(file);
      });
    }
  }
}

/**
 * The list of processes of the cgroup that this process is in; read again each time, because another process may have
 * moved it.
 */
function openOwnCgroup(): number | undefined {
  for (const line of readFileSync('/proc/self/cgroup', 'utf8').trimEnd().split('\n')) {
    const [, controllers = '', directory = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const path = `${ROOT}/${controllers.replace(/^name=/, '')}/${directory}/cgroup.procs`;
    if (!existsSync(path)) continue;
    try {
      return openSync(path, 'w');
    } catch (error) {
      if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return undefined;
}
