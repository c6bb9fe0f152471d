/** When something may begin, daily, UTC. Pure. */

const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;

export interface DailyWindow {
  /** Since midnight, milliseconds; the end may be on the next day. */
  readonly fromMs: number;
  readonly lengthMs: number;
}

/** @param text `01:00-05:00,22:30-00:30` @returns undefined: it is not of that form, or a window has no length */
export function parseDailyWindows(text: string): readonly DailyWindow[] | undefined {
  const windows = text.split(',').map((part) => {
    const [, from, until] = /^((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d|24:00)$/.exec(part.trim()) ?? [];
    if (from === undefined || until === undefined) return undefined;
    const fromMs = sinceMidnight(from);
    const lengthMs = (sinceMidnight(until) - fromMs + DAY_MS) % DAY_MS;
    return from === '00:00' && until === '24:00' ? { fromMs, lengthMs: DAY_MS } : { fromMs, lengthMs };
  });
  const valid = windows.flatMap((window) => (window && window.lengthMs > 0 ? [window] : []));
  return valid.length === windows.length ? valid : undefined;
}

/** @param nowMs since the epoch @returns milliseconds until one of them is open; 0: one is */
export function untilOpenMs(windows: readonly DailyWindow[], nowMs: number): number {
  const waits = windows.map(({ fromMs, lengthMs }) => {
    const since = (((nowMs - fromMs) % DAY_MS) + DAY_MS) % DAY_MS;
    return since < lengthMs ? 0 : DAY_MS - since;
  });
  return Math.min(...waits);
}

function sinceMidnight(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return (hours * 60 + minutes) * MINUTE_MS;
}
