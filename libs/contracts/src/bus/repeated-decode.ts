/**
 * Decodes what one sender sends again and again with few changes, as heartbeats are: only what has changed is checked.
 * The result is that of `decodePayload`.
 */
import { isISO8601 } from 'class-validator';
import { check, type Decoded, decodePayload, parseBody, type UnknownFields } from './decode.js';
import { HostHeartbeat, HostLoad } from './events/heartbeats.js';

/** Fields that differ from message to message. */
interface Changing {
  /** Of the time of sending. */
  readonly time: string;
  readonly part: string;
  /** Quick, and never right of what the contract refuses. @returns undefined: all of the message has to be checked */
  readonly checked: (value: unknown) => object | undefined;
}

const CHANGING = new Map<unknown, Changing>([[HostHeartbeat, { time: 'at', part: 'load', checked: checkedLoad }]]);

function checkedLoad(value: unknown): HostLoad | undefined {
  if (value === null || typeof value !== 'object' || Object.keys(value).length !== 3) return undefined;
  const { load1, memoryUsedBytes, containers } = value as Partial<Record<keyof HostLoad, unknown>>;
  const isValid = isAmount(load1) && isWhole(memoryUsedBytes) && isWhole(containers);
  return isValid ? Object.assign(new HostLoad(), { load1, memoryUsedBytes, containers }) : undefined;
}

const isAmount = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isWhole = (value: unknown): boolean => isAmount(value) && Number.isInteger(value);

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
    const { time, part, checked } = this.changing;
    const fields: Readonly<Record<string, unknown>> = { ...(parsed.value as object | null) };
    const steady = JSON.stringify({ ...fields, [time]: 0, [part]: 0 });
    const before = Array.isArray(parsed.value) ? undefined : this.last.get(sender);
    if (before?.steady === steady && isISO8601(fields[time])) {
      const changed = checked(fields[part]);
      if (changed) {
        const value = Object.assign(Object.create(Object.getPrototypeOf(before.value) as object) as T, before.value);
        return { ok: true, value: Object.assign(value, { [time]: fields[time], [part]: changed }) };
      }
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
