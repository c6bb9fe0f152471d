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
  /** An object, with its class. */
  readonly part: readonly [name: string, payload: new () => object];
}

const CHANGING = new Map<unknown, Changing>([[HostHeartbeat, { time: 'at', part: ['load', HostLoad] }]]);

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
    const { time, part } = this.changing;
    const [name, partClass] = part;
    const fields: Readonly<Record<string, unknown>> = { ...(parsed.value as object | null) };
    const steady = JSON.stringify({ ...fields, [time]: 0, [name]: 0 });
    const before = Array.isArray(parsed.value) ? undefined : this.last.get(sender);
    if (before?.steady === steady && isISO8601(fields[time])) {
      const checked = check(partClass, fields[name], this.unknownFields);
      if (checked.ok) {
        const value = Object.assign(Object.create(Object.getPrototypeOf(before.value) as object) as T, before.value);
        return { ok: true, value: Object.assign(value, { [time]: fields[time], [name]: checked.value }) };
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
