/**
 * Depends on: inotify(7), of which the kernel gives a user only so many instances (`fs.inotify.max_user_instances`,
 * 128 as a rule). conmon 2.1 takes one for each container where cgroups are version 2, to follow `memory.events`, so on
 * such a host the agent may find none left when it is started again.
 * Noticed by: EMFILE or ENOSPC at the start of the agent, which logs it; directory-watch.int-spec.ts.
 * Instead: the directory is read once a second.
 */
import { readdirSync, watch } from 'node:fs';

const POLL_MS = 1_000;

/** No instance or no watch is left, of this user or this process. */
const EXHAUSTED = ['EMFILE', 'ENOSPC', 'ENFILE'];

export interface DirectoryWatch {
  /** `poll`: inotify is exhausted on this machine, so news may be a second late. */
  readonly by: 'inotify' | 'poll';
  close(): void;
}

/**
 * Calls back with the name of each file that appears in a directory. A name may come more than once, and one may be
 * missed: a caller that depends on it must also read the directory from time to time.
 */
export function watchDirectory(
  directory: string,
  onName: (name: string) => void,
  by: typeof watch = watch,
): DirectoryWatch {
  try {
    const watcher = by(directory, (_event, name) => {
      if (name !== null) onName(name);
    });
    return { by: 'inotify', close: () => watcher.close() };
  } catch (error) {
    if (!EXHAUSTED.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return pollDirectory(directory, onName);
  }
}

function pollDirectory(directory: string, onName: (name: string) => void): DirectoryWatch {
  let known = new Set(readdirSync(directory));
  const timer = setInterval(() => {
    const before = known;
    known = new Set(readdirSync(directory));
    for (const name of known) if (!before.has(name)) onName(name);
  }, POLL_MS);
  timer.unref();
  return { by: 'poll', close: () => clearInterval(timer) };
}
