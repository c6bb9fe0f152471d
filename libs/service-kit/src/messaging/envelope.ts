/**
 * CloudEvents 1.0 in binary mode on NATS: the data is the body, the attributes are `ce-*` headers (CloudEvents NATS
 * binding 1.0.3).
 */
import { createHash, randomFillSync } from 'node:crypto';
import { ErrorCode, headers, type MsgHdrs, NatsError } from 'nats';

export interface Envelope {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly time: string;
  /** Id of the request that began it all. */
  readonly correlationId: string;
  /** Id of the event that caused this one. */
  readonly causationId?: string;
  /** Who asked, as the sender claims: of requests of people (`alice`, `root@host-1`). */
  readonly actor?: string;
}

/** A checked event as a handler gets it. */
export interface ReceivedEvent<T extends object = object> extends Envelope {
  readonly subject: string;
  /** The subject's tokens; those at wildcards name the instance. */
  readonly tokens: readonly string[];
  readonly data: T;
  /** When the bus stored it, milliseconds since the epoch. */
  readonly storedAtMs: number;
  /** Deliveries so far, this one included. */
  readonly attempt: number;
}

const MAX_ID = 200;

const ID_BYTES = 16;
/** Ids are cut from it: asking the kernel for each costs ten times as much. */
const random = Buffer.alloc(256 * ID_BYTES);
let used = random.length;

/** A random 128-bit id, 32 hex digits. */
export function newId(): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  return random.toString('hex', used, (used += ID_BYTES));
}

/** An id that is the same for the same cause: for facts that a retried handler must not publish twice. */
export function derivedId(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

export function encodeHeaders(envelope: Envelope, extra: Readonly<Record<string, string>> = {}): MsgHdrs {
  const result = headers();
  for (const [name, value] of headersOf(envelope)) result.set(name, value);
  for (const [name, value] of Object.entries(extra)) result.set(name, value);
  return result;
}

const BREAK = /[\r\n]/;

/**
 * As {@link encodeHeaders}, as the bytes that are sent (NATS ADR-4): the client's own headers look through all that are
 * there for each that is set.
 * @param messageId key of JetStream's de-duplication
 * @throws NatsError for a value with a line break
 */
export function encodeStoredHeaders(envelope: Envelope, messageId: string): Uint8Array {
  let text = 'NATS/1.0\r\n';
  const add = (name: string, value: string): void => {
    if (BREAK.test(value)) throw new NatsError(`${name} has a line break`, ErrorCode.BadHeader);
    text += `${name}: ${value.trim()}\r\n`;
  };
  for (const [name, value] of headersOf(envelope)) add(name, value);
  add('Nats-Msg-Id', messageId);
  return Buffer.from(`${text}\r\n`);
}

function headersOf(envelope: Envelope): readonly (readonly [name: string, value: string])[] {
  const found: [string, string][] = [
    ['ce-specversion', '1.0'],
    ['ce-id', encodeURIComponent(envelope.id)],
    ['ce-type', envelope.type],
    ['ce-source', envelope.source],
    ['ce-time', envelope.time],
    ['ce-correlationid', encodeURIComponent(envelope.correlationId)],
  ];
  if (envelope.causationId) found.push(['ce-causationid', encodeURIComponent(envelope.causationId)]);
  if (envelope.actor) found.push(['ce-actor', encodeURIComponent(envelope.actor)]);
  found.push(['content-type', 'application/json']);
  return found;
}

/** Reads what is there; everything is optional on the way in, and a broken attribute counts as absent. */
export function decodeEnvelope(
  found: MsgHdrs | undefined,
  fallback: { readonly subject: string; readonly position: string; readonly storedAtMs: number },
): Envelope {
  // The client looks through all names for each that it is asked for.
  const values = new Map(found);
  const get = (name: string): string | undefined => {
    const value = values.get(name)?.[0];
    if (!value) return undefined;
    try {
      const text = decodeURIComponent(value);
      return text.length > 0 && text.length <= MAX_ID ? text : undefined;
    } catch (error) {
      if (error instanceof URIError) return undefined;
      throw error;
    }
  };
  const id = get('ce-id') ?? get('Nats-Msg-Id') ?? derivedId('position', fallback.position);
  return {
    id,
    type: get('ce-type') ?? fallback.subject,
    source: get('ce-source') ?? 'unknown',
    time: get('ce-time') ?? new Date(fallback.storedAtMs).toISOString(),
    correlationId: get('ce-correlationid') ?? id,
    causationId: get('ce-causationid'),
    ...(get('ce-actor') === undefined ? {} : { actor: get('ce-actor') }),
  };
}
