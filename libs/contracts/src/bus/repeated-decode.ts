/**
 * Decodes what one sender sends again and again with few changes, as heartbeats are: only what has changed is checked.
 * The result is that of `decodePayload`.
 */
import { isISO8601 } from 'class-validator';
import { check, type Decoded, decodePayload, parseBody, type UnknownFields } from './decode.js';
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

function time(value: unknown): unknown {
  return isISO8601(value) ? value : undefined;
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
/** Senders that are remembered. */
const MOST = 50_000;

export class RepeatedDecoder<T extends object> {
  private readonly last = new Map<string, { readonly steady: string; readonly value: T }>();
  private readonly changing: Changing | undefined;

  constructor(
    private readonly payload: new () => T,
    private readonly unknownFields: UnknownFields,
  ) {
    this.changing = CHANGING.get(payload);
  }

  decode(sender: string, body: Uint8Array): Decoded<T> {
    if (!this.changing) return decodePayload(this.payload, body, this.unknownFields);
    const parsed = parseBody(body);
    if (!parsed.ok) return parsed;
    const fields: Readonly<Record<string, unknown>> = { ...(parsed.value as object | null) };
    const left: Record<string, unknown> = { ...fields };
    for (const name of Object.keys(this.changing)) left[name] = 0;
    const steady = JSON.stringify(left);
    const before = Array.isArray(parsed.value) ? undefined : this.last.get(sender);
    const changed = before?.steady === steady ? quicklyChecked(this.changing, fields) : undefined;
    if (before && changed) {
      const value = Object.create(Object.getPrototypeOf(before.value) as object) as T;
      return { ok: true, value: Object.assign(value, before.value, changed) };
    }
    const decoded = check(this.payload, parsed.value, this.unknownFields);
    if (decoded.ok) {
      this.last.delete(sender);
      if (this.last.size >= MOST) this.last.clear();
      this.last.set(sender, { steady, value: decoded.value });
    }
    return decoded;
  }
}

function quicklyChecked(changing: Changing, fields: Readonly<Record<string, unknown>>): object | undefined {
  const found: Record<string, unknown> = {};
  for (const [name, quick] of Object.entries(changing)) {
    const value = quick(fields[name]);
    if (value === undefined) return undefined;
    found[name] = value;
  }
  return found;
}
