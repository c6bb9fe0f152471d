/**
 * The agent's clock: milliseconds since the epoch that never jump, whatever happens to the time of day. Stored
 * deadlines are in this time and hold for every agent of one boot, because the first of them has stored when the clock
 * began.
 */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { isMissing, writeDurably } from '@plinth/host-os';

const FILE = 'clock.json';
/** Drift between the coarse and the fine clock; more means that the machine was suspended. */
const MOST_DRIFT_MS = 50;
/** A smaller difference is no jump, so that a time that is reported twice stays the same. */
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

  /** The present time in whole milliseconds. */
  now(): number {
    const coarse = uptime() * 1000;
    if (Math.abs(coarse - this.fineOffsetMs - performance.now()) > MOST_DRIFT_MS)
      this.fineOffsetMs = coarse - performance.now();
    return this.bootedAtMs + Math.floor(this.fineOffsetMs + performance.now());
  }

  /** Converts a time of this clock to the time of day, for reports. @param text ISO 8601 */
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
