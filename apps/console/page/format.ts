/** Times, sizes and commands as people read them. */
import { signal } from '@preact/signals';

/** The present time, once a second. */
export const now = signal(Date.now());

export function followTime(): void {
  window.setInterval(() => (now.value = Date.now()), 1_000);
}

/** `12 s`, `4 min`, `3 h`, `2 d` */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export const clock = (at: string): string => new Date(at).toLocaleTimeString('en-GB');
export const exact = (at: string): string => new Date(at).toLocaleString('en-GB');
export const count = (value: number): string => value.toLocaleString('en-US');

/** `1 host`, `2 hosts` */
export const counted = (number: number, noun: string): string => `${count(number)} ${noun}${number === 1 ? '' : 's'}`;

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
export function bytes(value: number): string {
  let unit = 0;
  let rest = value;
  for (; rest >= 1_024 && unit < UNITS.length - 1; unit++) rest /= 1_024;
  return `${rest >= 100 || unit === 0 ? Math.round(rest) : rest.toFixed(1)} ${UNITS[unit]}`;
}

/** A word of a command line, quoted for a POSIX shell where it has to be. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
