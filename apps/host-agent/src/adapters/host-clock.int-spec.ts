/** The agent's clock while the time of day jumps. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from '@jest/globals';
import { HostClock } from './host-clock.js';

const HOUR_MS = 3_600_000;
const directory = mkdtempSync(join(tmpdir(), 'plinth-clock-'));
const timeOfDay = Date.now;
const jump = (byMs: number): void => void (Date.now = () => timeOfDay() + byMs);
afterEach(() => void (Date.now = timeOfDay));
afterAll(() => rmSync(directory, { recursive: true }));

it.each([HOUR_MS, -HOUR_MS])('goes on when the time of day jumps by %i ms, also for the next agent', async (byMs) => {
  const clock = await HostClock.open(directory, 'boot-1');
  const before = clock.now();
  expect(Math.abs(before - Date.now())).toBeLessThan(60_000);
  jump(byMs);
  expect(clock.now()).toBeGreaterThanOrEqual(before);
  expect(clock.now()).toBeLessThan(before + 60_000);
  const next = await HostClock.open(directory, 'boot-1');
  expect(Math.abs(next.now() - clock.now())).toBeLessThan(100);
  // Reports carry the time of day.
  expect(Math.abs(Date.parse(clock.timeOfDay(new Date(before).toISOString())) - Date.now())).toBeLessThan(60_000);
});

it('begins again after a restart of the machine', async () => {
  jump(HOUR_MS);
  const clock = await HostClock.open(directory, 'boot-2');
  expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1_000);
});
