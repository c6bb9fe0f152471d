import { type DirectoryWatch, watchDirectory } from '../kernel/directory-watch.js';

/**
 * How often a waiter checks by itself, ms: notifications are lost when the kernel's queue is full, or conmon was killed
 * and writes none.
 */
const FALLBACK_MS = 2000;

/**
 * Wakes the callers that wait for a container's end. One inotify watch serves all containers; it is open only while a
 * caller waits.
 */
export class ExitWatch {
  readonly #waiters = new Map<string, Set<() => void>>();
  #watcher: DirectoryWatch | undefined;

  constructor(readonly directory: string) {}

  /** Resolves with `read`'s answer as soon as it has one; rejects with the signal's reason. */
  async until<T>(id: string, read: () => T | undefined, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    return new Promise<T>((resolve, reject) => {
      const stop = (): void => {
        clearInterval(timer);
        signal.removeEventListener('abort', onAbort);
        this.#forget(id, onChange);
      };
      const onAbort = (): void => {
        stop();
        reject(signal.reason as Error);
      };
      const onChange = (): void => {
        try {
          const found = read();
          if (found === undefined) return;
          stop();
          resolve(found);
        } catch (error) {
          stop();
          reject(error as Error);
        }
      };
      const timer = setInterval(onChange, FALLBACK_MS);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#remember(id, onChange);
      onChange();
    });
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #remember(id: string, waiter: () => void): void {
    const waiters = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, waiters.add(waiter));
    this.#watcher ??= watchDirectory(this.directory, (name) => {
      for (const wake of this.#waiters.get(name) ?? []) wake();
    });
  }

  #forget(id: string, waiter: () => void): void {
    const waiters = this.#waiters.get(id);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(id);
    if (this.#waiters.size === 0) this.close();
  }
}
