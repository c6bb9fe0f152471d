/** What streams send (text/event-stream, WHATWG HTML 9.2). Pure. */
import { maySee, type Viewer } from './access.js';
import type { Entry } from './live-state.js';
import type { Topic } from './topics.js';

/** Whether the console's data are the present ones. */
export interface Currency {
  readonly live: boolean;
  /** The data are of this time: now, or when the bus was lost. */
  readonly at: string;
  /** Why they are old. */
  readonly problem: string | null;
}

export interface Changes {
  readonly put: Partial<Record<Topic, unknown[]>>;
  /** Ids and names. */
  readonly gone: Partial<Record<Topic, string[]>>;
}

export const HEARTBEAT = ': \n\n';

/** JSON has no line breaks: one `data` line. */
export function message(event: string, data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/**
 * What one viewer gets of changes.
 * @returns undefined: nothing
 */
export function changesFor(viewer: Viewer, topics: readonly Topic[], entries: readonly Entry[]): Changes | undefined {
  const put: Partial<Record<Topic, unknown[]>> = {};
  const gone: Partial<Record<Topic, string[]>> = {};
  let any = false;
  for (const { topic, key, value, was } of entries) {
    if (!topics.includes(topic)) continue;
    const seen = value ?? was;
    if (seen && !maySee(viewer, topic, seen)) continue;
    any = true;
    if (value === null) (gone[topic] ??= []).push(key);
    else (put[topic] ??= []).push(value);
  }
  return any ? { put, gone } : undefined;
}
