/** Limits of what an interface sends, as messages of rtnetlink(7): a token bucket, tc-tbf(8). Pure. */
import {
  type Attribute,
  decodeAttributes,
  type Message,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  type Received,
  text,
  textOf,
  u32,
} from './message.js';

/** linux/rtnetlink.h */
const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_GETQDISC = 38;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_STATS2 = 7;
/** linux/gen_stats.h */
const TCA_STATS_QUEUE = 3;
/** linux/pkt_sched.h */
const TC_H_ROOT = 0xffff_ffff;
const TC_LINKLAYER_ETHERNET = 1;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;
const TOKEN_BUCKET = 'tbf';
/** `struct tcmsg` */
const BODY_BYTES = 20;
const RATE_BYTES = 12;

/** What is sent at once after a pause; more than a packet, so that none is refused for its size. */
const BURST_MS = 10;
const LEAST_BURST = 16 * 1024;
/** What waits at the most; beyond it packets are dropped, so that senders slow down. */
const QUEUE_MS = 100;
const LEAST_QUEUE = 64 * 1024;
const U32 = 0xffff_ffff;

function body(index: number, parent = 0): Buffer {
  const bytes = Buffer.alloc(BODY_BYTES);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(parent, 12);
  return bytes;
}

/** Also changes a limit that is there; nothing that waits is lost. @param bitsPerSecond at least 8 */
export function setRate(index: number, bitsPerSecond: number): Message {
  const rate = Math.floor(bitsPerSecond / 8);
  const burst = Math.min(U32, Math.max(LEAST_BURST, Math.floor((rate * BURST_MS) / 1000)));
  const queue = Math.min(U32, burst + Math.max(LEAST_QUEUE, Math.floor((rate * QUEUE_MS) / 1000)));
  // struct tc_tbf_qopt: a rate, no rate of peaks, limit, and two that the attributes below replace.
  const options = Buffer.alloc(2 * RATE_BYTES + 12);
  options[1] = TC_LINKLAYER_ETHERNET;
  options.writeUInt32LE(Math.min(U32, rate), 8);
  options.writeUInt32LE(queue, 2 * RATE_BYTES);
  const wide: Attribute[] = [];
  if (rate >= U32) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(rate));
    wide.push({ type: TCA_TBF_RATE64, payload: bytes });
  }
  return {
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body: body(index, TC_H_ROOT),
    attributes: [
      { type: TCA_KIND, payload: text(TOKEN_BUCKET) },
      {
        type: TCA_OPTIONS,
        payload: [{ type: TCA_TBF_PARMS, payload: options }, ...wide, { type: TCA_TBF_BURST, payload: u32(burst) }],
      },
    ],
  };
}

/** Refused with ENOENT or EINVAL where there is none. */
export function removeRate(index: number): Message {
  return { type: RTM_DELQDISC, flags: 0, body: body(index, TC_H_ROOT), attributes: [] };
}

export function listRates(): Message {
  return { type: RTM_GETQDISC, flags: NLM_F_DUMP, body: body(0), attributes: [] };
}

export interface RateLimit {
  /** Of the interface. */
  readonly index: number;
  readonly bitsPerSecond: number;
  /** Packets that were dropped because too many waited. */
  readonly dropped: number;
  /** How often a packet had to wait. */
  readonly delayed: number;
}

/** undefined: it is no limit of this kind. */
export function readRate({ type, payload }: Received): RateLimit | undefined {
  if (type !== RTM_NEWQDISC || payload.length < BODY_BYTES || payload.readUInt32LE(12) !== TC_H_ROOT) return undefined;
  const attributes = decodeAttributes(payload.subarray(BODY_BYTES));
  if (textOf(attributes.get(TCA_KIND)) !== TOKEN_BUCKET) return undefined;
  const options = decodeAttributes(attributes.get(TCA_OPTIONS) ?? Buffer.alloc(0));
  const rate64 = options.get(TCA_TBF_RATE64);
  const rate = rate64 ? Number(rate64.readBigUInt64LE(0)) : (options.get(TCA_TBF_PARMS)?.readUInt32LE(8) ?? 0);
  // struct gnet_stats_queue: length, backlog, drops, requeues, overlimits
  const queue = decodeAttributes(attributes.get(TCA_STATS2) ?? Buffer.alloc(0)).get(TCA_STATS_QUEUE);
  return {
    index: payload.readInt32LE(4),
    bitsPerSecond: rate * 8,
    dropped: queue?.readUInt32LE(8) ?? 0,
    delayed: queue?.readUInt32LE(16) ?? 0,
  };
}
