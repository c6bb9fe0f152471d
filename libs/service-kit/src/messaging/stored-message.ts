/**
 * Reads single messages of a stream with the "direct get" API (NATS ADR-31): no consumer is needed and no other right
 * of JetStream's API.
 */
import type { StreamName } from '@plinth/contracts';
import { type MsgHdrs, type NatsConnection, NatsError } from 'nats';

export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly storedAtMs: number;
  readonly headers: MsgHdrs;
  readonly data: Uint8Array;
}

export type StoredMessageQuery =
  /**
   * The newest one with exactly this subject; the subject becomes part of the API's subject, so that a right to it can
   * be given.
   */
  | { readonly subject: string }
  /** The one at a position. */
  | { readonly seq: number }
  /** The newest one below a filter. */
  | { readonly last_by_subj: string }
  /** The first one below a filter at or after a position. */
  | { readonly seq: number; readonly next_by_subj: string };

const TIMEOUT_MS = 5_000;

/** @returns undefined when there is none. @throws NatsError when no server answers */
export async function readStored(
  connection: NatsConnection,
  stream: StreamName,
  query: StoredMessageQuery,
): Promise<StoredMessage | undefined> {
  const api = `$JS.API.DIRECT.GET.${stream}`;
  const message =
    'subject' in query
      ? await connection.request(`${api}.${query.subject}`, '', { timeout: TIMEOUT_MS })
      : await connection.request(api, JSON.stringify(query), { timeout: TIMEOUT_MS });
  const { headers } = message;
  if (headers?.code === 404) return undefined;
  if (!headers || headers.hasError)
    throw new NatsError(headers?.description || 'not the answer of a stream', String(headers?.code ?? 'UNKNOWN'));
  return {
    subject: headers.get('Nats-Subject'),
    sequence: Number(headers.get('Nats-Sequence')),
    storedAtMs: Date.parse(headers.get('Nats-Time-Stamp')),
    headers,
    data: message.data,
  };
}
