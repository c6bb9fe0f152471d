/** Keeps a stream open while nothing happens, and ends it when its reader may no longer read. */
import { HEARTBEAT } from '../domain/stream-message.js';

export const HEARTBEAT_MS = 15_000;

/** Where a stream goes. */
export interface Sink {
  /** @returns false: wait for {@link Sink.drained} before the next */
  write(text: string): boolean;
  /** Resolves when it can be written to again. */
  drained(): Promise<void>;
  end(): void;
}

/** @param mayGoOn asked with each heartbeat @returns what ends it */
export function beginHeartbeat(sink: Sink, mayGoOn: () => Promise<boolean>): () => void {
  let isEnded = false;
  const timer = setInterval(() => {
    mayGoOn().then(
      (may) => {
        if (isEnded) return;
        if (may) sink.write(HEARTBEAT);
        else sink.end();
      },
      // The store of sessions does not answer: what it allowed before goes on for now.
      () => !isEnded && sink.write(HEARTBEAT),
    );
  }, HEARTBEAT_MS);
  return () => {
    isEnded = true;
    clearInterval(timer);
  };
}
