/**
 * Who reads the output of containers at this moment, and how fast: a reader that is slow, or faster than its share,
 * holds the host agent up, and nothing is queued for it.
 */
import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { logReaders } from '../adapters/metrics.js';
import { ByteBudget } from '../domain/byte-budget.js';
import { beginHeartbeat, type Sink } from './heartbeat.js';

const MOST = 40;
const MOST_OF_A_PERSON = 5;
const BYTES_PER_SECOND = 1024 ** 2;
const BYTES_PER_SECOND_OF_ALL = 8 * 1024 ** 2;
const SECONDS_AT_ONCE = 2;
/** A reader that takes nothing for so long is gone. */
const STALLED_MS = 60_000;

export interface LogSink extends Sink {
  /** It may be sent comments while nothing happens. */
  readonly isBeating: boolean;
  /** Breaks the connection. */
  destroy(): void;
}

export interface LogReader {
  readonly signal: AbortSignal;
  /** Resolves when more may be sent. @throws AbortError when the reader is gone */
  send(text: string): Promise<void>;
  /** Gives its place back. */
  close(): void;
}

@Injectable()
export class LogReaders {
  private readonly persons = new Map<string, number>();
  private readonly all = new ByteBudget(BYTES_PER_SECOND_OF_ALL, SECONDS_AT_ONCE * BYTES_PER_SECOND_OF_ALL);
  private open = 0;

  /** Why there is no place for another reader. */
  refusal(person: string): 'too-many-streams' | 'unavailable' | undefined {
    if ((this.persons.get(person) ?? 0) >= MOST_OF_A_PERSON) return 'too-many-streams';
    return this.open >= MOST ? 'unavailable' : undefined;
  }

  /**
   * @param sink ended when the person may no longer read
   * @param mayGoOn asked with each heartbeat
   */
  add(person: string, sink: LogSink, mayGoOn: () => Promise<boolean>): LogReader {
    const gone = new AbortController();
    const own = new ByteBudget(BYTES_PER_SECOND, SECONDS_AT_ONCE * BYTES_PER_SECOND);
    const endHeartbeat = beginHeartbeat(sink.isBeating ? sink : { ...sink, write: () => true }, mayGoOn);
    this.count(person, 1);
    let isOpen = true;
    return {
      signal: gone.signal,
      send: async (text) => {
        gone.signal.throwIfAborted();
        const isFull = !sink.write(text);
        const bytes = Buffer.byteLength(text);
        const now = performance.now();
        const wait = Math.max(own.spend(bytes, now), this.all.spend(bytes, now));
        if (wait > 0) await delay(wait, undefined, { signal: gone.signal });
        if (isFull) await drainedSoon(sink);
        gone.signal.throwIfAborted();
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        endHeartbeat();
        this.count(person, -1);
        gone.abort();
      },
    };
  }

  private count(person: string, change: 1 | -1): void {
    const now = (this.persons.get(person) ?? 0) + change;
    if (now > 0) this.persons.set(person, now);
    else this.persons.delete(person);
    this.open += change;
    logReaders.set(this.open);
  }
}

async function drainedSoon(sink: LogSink): Promise<void> {
  const stalled = setTimeout(() => sink.destroy(), STALLED_MS);
  await sink.drained();
  clearTimeout(stalled);
}
