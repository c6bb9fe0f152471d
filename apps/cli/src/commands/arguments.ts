/** Parses words of the command line into values; every error names what is valid. */
import { ENV_NAME_PATTERN, NAME_PATTERN, NAME_WORDS } from '@plinth/contracts';
import { InvalidArgumentError } from 'commander';

/** `shop-1`, `acme` */
export function parseName(text: string): string {
  if (!NAME_PATTERN.test(text)) throw new InvalidArgumentError(`a name has ${NAME_WORDS}`);
  return text;
}

/** `256M`, `1.5G`, `64KiB`, `1048576` → bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (!match?.[1]) throw new InvalidArgumentError('a size is a number with K, M, G or T, such as 256M');
  const power = ['', 'K', 'M', 'G', 'T'].indexOf((match[2] ?? '').toUpperCase());
  return Math.round(Number(match[1]) * 1024 ** power);
}

/** `0.5`, `2` */
export function parsePositive(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('a number above 0 is needed');
  return value;
}

/** `0`, `12` */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is needed');
  return Number(text);
}

/** Collects `K=V` words. */
export function parseEnv(text: string, before: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(equals, 0));
  if (!ENV_NAME_PATTERN.test(name))
    throw new InvalidArgumentError('an environment variable is written NAME=VALUE, the name in letters, digits and _');
  // oxlint-disable-next-line no-control-regex -- exactly these are refused
  if (/[\0\r\n]/.test(text))
    throw new InvalidArgumentError('the value of an environment variable must not hold a line break or NUL');
  return Object.fromEntries([...Object.entries(before), [name, text.slice(equals + 1)]]);
}

/** `always`, `never`, `on-failure`, `on-failure:3`. */
export function parseRestart(text: string): { policy: string; maxRetries?: number } {
  const match = /^(always|never|on-failure)(?::(\d{1,4}))?$/.exec(text);
  if (!match?.[1] || (match[2] !== undefined && (match[1] !== 'on-failure' || Number(match[2]) > 1000))) {
    throw new InvalidArgumentError(
      'a restart policy is always, never, on-failure or on-failure:<times>, at most 1000 times',
    );
  }
  return match[2] === undefined ? { policy: match[1] } : { policy: match[1], maxRetries: Number(match[2]) };
}

const MOST_DURATION_MS = 366 * 86_400_000;

/** `90s`, `1.5h`, `10m`, `2d`, and `90` as seconds → milliseconds, at most a year. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text);
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? 's'] ?? Number.NaN;
  const milliseconds = Math.round(Number(match?.[1]) * unit);
  if (!(milliseconds <= MOST_DURATION_MS))
    throw new InvalidArgumentError('a duration is a number with s, m, h or d, such as 10m, and at most a year');
  return milliseconds;
}

/** `sn-1,sn-2` */
export function parseList(text: string): string[] {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) throw new InvalidArgumentError('at least one name is needed, several separated by commas');
  return items;
}
