/** What the resolver reports of itself, to the host only: text records of one name, so a query is the health check. */
import { createSocket } from 'node:dgram';
import dnsPacket from 'dns-packet';
import { isAnswer } from './message.js';

/** `.invalid` is no name of anything else, RFC 2606. */
export const STATUS_NAME = 'resolver.plinth.invalid';
export const RESOLVER_ADDRESS = '169.254.1.1';
/** The same by IPv6; absent on a machine without it. Of a unique local prefix (RFC 4193), in no pool. */
export const RESOLVER_ADDRESS6 = 'fd00:706c:696e:ffff::53';
export const RESOLVER_PORT = 53;

export const COUNTERS = [
  'answered',
  'absent',
  'forwarded',
  'cached',
  'refused',
  'failed',
  'malformed',
  'overloaded',
] as const;
export type Counter = (typeof COUNTERS)[number];

export interface ResolverStatus {
  readonly pid: number;
  readonly builtAtMs: number;
  /** Names that it knows. */
  readonly names: number;
  /** Queries since it was started, by what became of them. */
  readonly counters: Readonly<Record<Counter, number>>;
}

export type Asked =
  | { readonly kind: 'answered'; readonly status: ResolverStatus }
  /** Nothing listens there. */
  | { readonly kind: 'closed' }
  /** No answer in time. */
  | { readonly kind: 'silent' }
  /** Another program has the port. */
  | { readonly kind: 'foreign' };

export function statusTexts({ pid, builtAtMs, names, counters }: ResolverStatus): string[] {
  const figures: Record<string, number> = { pid, builtAtMs, names, ...counters };
  return Object.entries(figures).map(([name, value]) => `${name}=${value}`);
}

/** @returns undefined when they are of another program */
export function readStatus(texts: readonly string[]): ResolverStatus | undefined {
  const figures = new Map(
    texts.map((text) => {
      const [name = '', value = ''] = text.split('=');
      return [name, Number(value)];
    }),
  );
  const figure = (name: string): number => figures.get(name) ?? 0;
  const pid = figure('pid');
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const counters = Object.fromEntries(COUNTERS.map((name) => [name, figure(name)])) as Record<Counter, number>;
  return { pid, builtAtMs: figure('builtAtMs'), names: figure('names'), counters };
}

/** Asks the resolver of this machine; 169.254.1.1 is an address of it. */
export function askStatus(patienceMs: number): Promise<Asked> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    let ended = false;
    const end = (asked: Asked): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      socket.close();
      resolve(asked);
    };
    const timer = setTimeout(() => end({ kind: 'silent' }), patienceMs);
    socket.on('error', () => end({ kind: 'closed' }));
    const id = Math.floor(Math.random() * 0x10000);
    const query = dnsPacket.encode({ type: 'query', id, questions: [{ name: STATUS_NAME, type: 'TXT' }] });
    socket.on('message', (bytes) => {
      if (isAnswer(bytes, id, query.subarray(12))) end(readAnswer(bytes));
    });
    socket.on('connect', () => {
      if (!ended) socket.send(query, (error) => error && end({ kind: 'closed' }));
    });
    // Without a callback: it would be called with the error, and there would be no event.
    socket.connect(RESOLVER_PORT, RESOLVER_ADDRESS);
  });
}

function readAnswer(bytes: Buffer): Asked {
  try {
    const texts = (dnsPacket.decode(bytes).answers ?? []).flatMap((record) =>
      record.type === 'TXT' ? [record.data].flat().map(String) : [],
    );
    const status = readStatus(texts);
    return status ? { kind: 'answered', status } : { kind: 'foreign' };
  } catch {
    return { kind: 'foreign' };
  }
}
