/**
 * The agent's time: milliseconds since the epoch that only ever go on, whatever happens to the time of day. Deadlines are written down in it,
 * and mean the same to every agent of one boot: where it began was taken once, by the first of them.
 */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { isMissing, writeDurably } from '@plinth/host-os';

const FILE = 'clock.json';
/** Between the coarse and the fine clock; more means that the machine was suspended. */
const MOST_DRIFT_MS = 50;
/** Less is no jump, and a time that is told twice stays the same. */
const LEAST_JUMP_MS = 1_000;

export class HostClock {
  private fineOffsetMs = uptime() * 1000 - performance.now();

  /** @param bootedAtMs when the machine was started, milliseconds since the epoch */
  constructor(readonly bootedAtMs: number) {}

  /** @param root of the state directory, under its lock */
  static async open(root: string, bootId: string): Promise<HostClock> {
    const path = join(root, FILE);
    const known = readBootTime(path, bootId);
    if (known !== undefined) return new HostClock(known);
    const bootedAtMs = Math.round(Date.now() - uptime() * 1000);
    await writeDurably(path, `${JSON.stringify({ bootId, bootedAtMs })}\n`);
    return new HostClock(bootedAtMs);
  }

  /** Whole milliseconds. */
  now(): number {
    const coarse = uptime() * 1000;
    if (Math.abs(coarse - this.fineOffsetMs - performance.now()) > MOST_DRIFT_MS)
      this.fineOffsetMs = coarse - performance.now();
    return this.bootedAtMs + Math.floor(this.fineOffsetMs + performance.now());
  }

  /** For others to read, who have only the time of day. @param text of this clock, ISO 8601 */
  timeOfDay(text: string): string {
    const jumpedMs = Date.now() - this.now();
    return Math.abs(jumpedMs) < LEAST_JUMP_MS ? text : new Date(Date.parse(text) + jumpedMs).toISOString();
  }
}

function readBootTime(path: string, bootId: string): number | undefined {
  try {
    const found = JSON.parse(readFileSync(path, 'utf8')) as { bootId?: unknown; bootedAtMs?: unknown };
    return found.bootId === bootId && typeof found.bootedAtMs === 'number' ? found.bootedAtMs : undefined;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
