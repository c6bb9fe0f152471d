/** Answers that are streams of events (text/event-stream, WHATWG HTML 9.2). */
import { once } from 'node:events';
import type { Response } from './http.js';

export const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // A proxy that collects the answer would hold it for ever.
  'x-accel-buffering': 'no',
};

/** A connection that is gone never drains. */
export async function drained(response: Response): Promise<void> {
  if (response.destroyed || !response.writableNeedDrain) return;
  const over = new AbortController();
  const { signal } = over;
  try {
    await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]);
  } catch (error) {
    // The connection broke: what ends the stream follows.
    if (!response.destroyed) response.destroy(error instanceof Error ? error : undefined);
  } finally {
    over.abort();
  }
}
