/**
 * Decodes what one sender sends again and again with few changes, as heartbeats are: only what has changed is checked.
 * The result is that of `decodePayload`, and whether anything else has changed.
 */
import { isISO8601 } from 'class-validator';
import type { UnknownFields } from './contract.js';
import { check, type Decoded, parseBody } from './decode.js';
import { HostHeartbeat, HostLoad, LeaseSummary, StorageHeartbeat } from './events/heartbeats.js';
import { ID_PATTERN, NAME_PATTERN } from '../values.js';

/** A quick check of a field that is never right of what the contract refuses. @returns undefined: all has to be checked */
type QuickCheck = (value: unknown) => unknown;

/** Fields that differ from message to message, with their checks. */
type Changing = Readonly<Record<string, QuickCheck>>;

const CHANGING = new Map<unknown, Changing>([
  [HostHeartbeat, { at: time, load }],
  [StorageHeartbeat, { at: time, freeBytes: whole, leases }],
]);

function load(value: unknown): HostLoad | undefined {
  if (!hasKeys(value, 3)) return undefined;
  const { load1, memoryUsedBytes, containers } = value;
  const isValid = isAmount(load1) && isWhole(memoryUsedBytes) && isWhole(containers);
  return isValid ? Object.assign(new HostLoad(), { load1, memoryUsedBytes, containers }) : undefined;
}

function leases(value: unknown): readonly LeaseSummary[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_LEASES) return undefined;
  const all = value.flatMap((item: unknown) => lease(item) ?? []);
  return all.length === value.length ? all : undefined;
}

function lease(value: unknown): LeaseSummary | undefined {
  if (!hasKeys(value, 4)) return undefined;
  const { host, renewal, ttlSeconds, unrenewedMs } = value;
  const isNamed = isText(host, NAME_PATTERN) && isText(renewal, ID_PATTERN);
  const isTimed =
    isWhole(ttlSeconds) && isWhole(unrenewedMs) && Number(ttlSeconds) >= 1 && Number(ttlSeconds) <= 86_400;
  return isNamed && isTimed ? Object.assign(new LeaseSummary(), { host, renewal, ttlSeconds, unrenewedMs }) : undefined;
}

/** As services write it. */
const USUAL_TIME = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

function time(value: unknown): unknown {
  return (typeof value === 'string' && USUAL_TIME.test(value)) || isISO8601(value) ? value : undefined;
}

function whole(value: unknown): unknown {
  return isWhole(value) ? value : undefined;
}

const hasKeys = (value: unknown, count: number): value is Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' && Object.keys(value).length === count;
const isText = (value: unknown, pattern: RegExp): boolean => typeof value === 'string' && pattern.test(value);
const isAmount = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isWhole = (value: unknown): boolean => isAmount(value) && Number.isInteger(value);

const MOST_LEASES = 10_000;
const MOST_DEPTH = 8;
/** Senders that are remembered. */
const MOST = 50_000;

/** @see RepeatedDecoder.decode */
export type DecodedAgain<T> =
  | { readonly ok: true; readonly value: T; readonly isRepeat: boolean }
  | Extract<Decoded<T>, { readonly ok: false }>;

export class RepeatedDecoder<T extends object> {
  private readonly last = new Map<string, { readonly parsed: Readonly<Record<string, unknown>>; readonly value: T }>();
  private readonly changing: Changing | undefined;

  constructor(
    private readonly payload: new () => T,
    private readonly unknownFields: UnknownFields,
  ) {
    this.changing = CHANGING.get(payload);
  }

  /** @returns `isRepeat`: beside what differs from message to message, it is the last one of its sender that was right */
  decode(sender: string, body: Uint8Array): DecodedAgain<T> {
    const parsed = parseBody(body);
    if (!parsed.ok) return parsed;
    const before = this.last.get(sender);
    if (before && this.changing && isFields(parsed.value)) {
      const found = repeated(before.parsed, parsed.value, this.changing);
      if (found) {
        const value = Object.create(Object.getPrototypeOf(before.value) as object) as T;
        return { ok: true, value: Object.assign(value, before.value, found), isRepeat: true };
      }
    }
    const decoded = check(this.payload, parsed.value, this.unknownFields);
    if (!decoded.ok) return decoded;
    // The check has changed what it was given.
    const again = this.changing && parseBody(body);
    if (again?.ok && isFields(again.value)) {
      this.last.delete(sender);
      if (this.last.size >= MOST) this.last.clear();
      this.last.set(sender, { parsed: again.value, value: decoded.value });
    }
    return { ...decoded, isRepeat: false };
  }
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** @returns the fields that may differ; undefined: others do, or they are not surely right */
function repeated(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
  changing: Changing,
): object | undefined {
  const names = Object.keys(now);
  if (names.length !== Object.keys(before).length) return undefined;
  const found: Record<string, unknown> = {};
  for (const name of names) {
    const quick = Object.hasOwn(changing, name) ? changing[name] : undefined;
    if (!quick) {
      if (!Object.hasOwn(before, name) || !isSame(before[name], now[name])) return undefined;
      continue;
    }
    const value = quick(now[name]);
    if (value === undefined || !Object.hasOwn(before, name)) return undefined;
    found[name] = value;
  }
  return found;
}

/** Of values of JSON; what is nested deeply counts as different. */
function isSame(a: unknown, b: unknown, depth = 0): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object' || depth > MOST_DEPTH) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  const [left, right] = [a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>];
  return names.every((name) => Object.hasOwn(right, name) && isSame(left[name], right[name], depth + 1));
}
