import { parseDailyWindows, untilOpenMs } from './daily-windows.js';

const at = (time: string): number => Date.parse(`2026-11-22T${time}:00Z`);

it.each([
  ['01:00-05:00', '00:30', 30],
  ['01:00-05:00', '01:00', 0],
  ['01:00-05:00', '04:59', 0],
  ['01:00-05:00', '05:00', 20 * 60],
  ['23:00-01:00', '00:30', 0],
  ['23:00-01:00', '01:00', 22 * 60],
  ['01:00-02:00,12:00-13:00', '11:00', 60],
  ['00:00-24:00', '13:00', 0],
] as const)('of %s at %s it is %s min until one opens', (text, now, minutes) =>
  expect(untilOpenMs(parseDailyWindows(text) ?? [], at(now))).toBe(minutes * 60_000),
);

it.each(['', '1:00-2:00', '25:00-26:00', '01:00', '01:00-01:00', '01:00-02:00;03:00-04:00', '24:00-01:00'])(
  '%j is not taken',
  (text) => expect(parseDailyWindows(text)).toBeUndefined(),
);
