/**
 * Answers of other name servers, as long as their TTL allows, for each tenant by itself: what another tenant has asked
 * can't be seen from how fast an answer comes. Pure.
 */
import { type Query, RCODE, TYPE, withId } from './message.js';

/** Longer than this no answer is kept, whatever its TTL is: names of services move. */
const MOST_SECONDS = 300;
const MOST_NEGATIVE_SECONDS = 30;
const MOST_ENTRIES = 4_096;
/** Of one tenant: its own oldest ones give way. */
const MOST_OF_GROUP = 512;
const MOST_BYTES = 4_096;

const HEADER_BYTES = 12;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_TRUNCATED = 0x0200;
/** Recursion desired, authentic data, checking disabled: the answer depends on them. */
const ASKED_FLAGS = 0x0130;
const TYPE_OPT = 41;
const POINTER = 0xc0;

interface Entry {
  readonly bytes: Buffer;
  readonly ttlOffsets: readonly number[];
  readonly storedAtMs: number;
  readonly endsAtMs: number;
}

/** What is asked, and by which way: what differs in any of it may be answered differently. */
export interface Asked {
  readonly group: string;
  readonly query: Query;
  readonly transport: 'udp' | 'tcp';
  readonly servers: readonly string[];
}

export class AnswerCache {
  /** By group, then by what was asked; oldest first. */
  private readonly groups = new Map<string, Map<string, Entry>>();
  private entries = 0;

  get size(): number {
    return this.entries;
  }

  /** @returns the answer for this asker: its id, its letters, and what is left of each TTL */
  get({ group, query, ...asked }: Asked, nowMs: number): Buffer | undefined {
    const known = this.groups.get(group);
    const key = keyOf(query, asked);
    const entry = key === undefined ? undefined : known?.get(key);
    if (!known || entry === undefined || key === undefined) return undefined;
    if (nowMs >= entry.endsAtMs) {
      this.drop(group, known, key);
      return undefined;
    }
    const reply = withId(entry.bytes, query.id);
    query.question.copy(reply, HEADER_BYTES);
    reply.writeUInt16BE(reply.readUInt16BE(2) & ~FLAG_AUTHORITATIVE, 2);
    const age = Math.floor((nowMs - entry.storedAtMs) / 1000);
    for (const offset of entry.ttlOffsets) reply.writeUInt32BE(Math.max(0, reply.readUInt32BE(offset) - age), offset);
    return reply;
  }

  /** Keeps the answer if it may be kept. */
  put({ group, query, ...asked }: Asked, answer: Buffer, nowMs: number): void {
    const key = keyOf(query, asked);
    if (key === undefined || answer.length > MOST_BYTES) return;
    const read = readAnswer(answer, query.question.length);
    if (!read || read.seconds === 0) return;
    const known = this.groups.get(group) ?? new Map<string, Entry>();
    this.groups.set(group, known);
    if (known.has(key)) this.drop(group, known, key);
    if (known.size >= MOST_OF_GROUP) this.dropOldest(group, known);
    if (this.entries >= MOST_ENTRIES) this.dropOldest(...this.largest());
    known.set(key, {
      bytes: Buffer.from(answer),
      ttlOffsets: read.ttlOffsets,
      storedAtMs: nowMs,
      endsAtMs: nowMs + read.seconds * 1000,
    });
    this.groups.set(group, known);
    this.entries += 1;
  }

  private drop(group: string, known: Map<string, Entry>, key: string): void {
    if (known.delete(key)) this.entries -= 1;
    if (known.size === 0) this.groups.delete(group);
  }

  private dropOldest(group: string, known: Map<string, Entry>): void {
    const [oldest] = known.keys();
    if (oldest !== undefined) this.drop(group, known, oldest);
  }

  /** One with few answers keeps them, however many others ask for. */
  private largest(): [string, Map<string, Entry>] {
    let found: [string, Map<string, Entry>] = ['', new Map()];
    for (const group of this.groups) if (group[1].size > found[1].size) found = group;
    return found;
  }
}

/** undefined: it has more than a question, such as a cookie or a client's network. */
function keyOf(query: Query, { transport, servers }: Pick<Asked, 'transport' | 'servers'>): string | undefined {
  const { question, flags, edns, isPlain } = query;
  if (!isPlain) return undefined;
  const extension = edns === undefined ? '-' : `${String(edns.dnssec)}${edns.payloadBytes}`;
  return `${transport} ${flags & ASKED_FLAGS} ${extension} ${servers.join()} ${question.toString('latin1').toLowerCase()}`;
}

interface ReadAnswer {
  readonly ttlOffsets: readonly number[];
  /** 0: it is not to be kept. */
  readonly seconds: number;
}

/** @returns undefined when it is not whole, is cut, or is neither an answer nor known to be none */
export function readAnswer(bytes: Buffer, questionBytes: number): ReadAnswer | undefined {
  if (bytes.length < HEADER_BYTES + questionBytes) return undefined;
  const flags = bytes.readUInt16BE(2);
  const rcode = flags & 0xf;
  if ((flags & FLAG_TRUNCATED) !== 0 || (rcode !== RCODE.noError && rcode !== RCODE.noName)) return undefined;
  const counts = [6, 8, 10].map((offset) => bytes.readUInt16BE(offset));
  const [answers = 0, authorities = 0, additionals = 0] = counts;
  const isNegative = rcode === RCODE.noName || answers === 0;
  const ttlOffsets: number[] = [];
  let seconds: number = isNegative ? MOST_NEGATIVE_SECONDS : MOST_SECONDS;
  let hasEnd = !isNegative;
  let offset = HEADER_BYTES + questionBytes;
  for (let index = 0; index < answers + authorities + additionals; index += 1) {
    const fixed = afterName(bytes, offset);
    if (fixed === undefined || fixed + 10 > bytes.length) return undefined;
    const type = bytes.readUInt16BE(fixed);
    const end = fixed + 10 + bytes.readUInt16BE(fixed + 8);
    if (end > bytes.length) return undefined;
    if (type !== TYPE_OPT) {
      ttlOffsets.push(fixed + 4);
      const ttl = secondsAt(bytes, fixed + 4);
      seconds = Math.min(seconds, ttl);
      if (isNegative && type === TYPE.SOA && index >= answers && index < answers + authorities && end - fixed >= 30) {
        // RFC 2308: the last field of the record is how long it is known that there is none.
        seconds = Math.min(seconds, secondsAt(bytes, end - 4));
        hasEnd = true;
      }
    }
    offset = end;
  }
  return hasEnd ? { ttlOffsets, seconds } : undefined;
}

/** RFC 2181, 8: with the first bit set it is 0. */
function secondsAt(bytes: Buffer, offset: number): number {
  const value = bytes.readUInt32BE(offset);
  return value > 0x7fff_ffff ? 0 : value;
}

/** @returns undefined: it is no name */
function afterName(bytes: Buffer, start: number): number | undefined {
  for (let offset = start; ;) {
    const length = bytes[offset];
    if (length === undefined) return undefined;
    if (length === 0) return offset + 1;
    if ((length & POINTER) === POINTER) return offset + 2;
    if ((length & POINTER) !== 0) return undefined;
    offset += 1 + length;
  }
}
