/** Facts on their way in: decoded, filtered, waited for. */
import { STREAMS } from '@plinth/contracts';
import { decodeEnvelope } from '@plinth/service-kit/messaging';
import type { MsgHdrs, Subscription } from 'nats';
import { ClientError } from './errors.js';
import { FactLog } from './fact-log.js';

export interface Fact {
  readonly subject: string;
  readonly id: string;
  readonly causationId?: string;
  readonly correlationId: string;
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Which facts; those that fit everything named here. */
export interface FactFilter {
  /** NATS subjects, wildcards allowed; absent: everything in the stream of events. */
  readonly subjects?: readonly string[];
  readonly causationId?: string;
  readonly correlationId?: string;
  readonly containerId?: string;
}

/** Every subject that facts have. */
export const ALL_FACTS: readonly string[] = STREAMS.events.subjects;

/** Whether a fact fits a filter; the subscription selects the subjects. */
export function fitsFilter(fact: Fact, filter: FactFilter): boolean {
  return (
    (filter.causationId === undefined || fact.causationId === filter.causationId) &&
    (filter.correlationId === undefined || fact.correlationId === filter.correlationId) &&
    (filter.containerId === undefined || fact.data.containerId === filter.containerId)
  );
}

/** Reads an untrusted message; a body that is no JSON object stays visible. */
export function readFact(
  subject: string,
  headers: MsgHdrs | undefined,
  body: Uint8Array,
  position: string,
  storedAtMs: number,
): Fact {
  return { ...decodeEnvelope(headers, { subject, position, storedAtMs }), subject, data: readObject(body) };
}

function readObject(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : { value };
  } catch (error) {
    if (error instanceof SyntaxError) return { unreadable: Buffer.from(body).toString('base64').slice(0, 200) };
    throw error;
  }
}

/** Facts as they arrive, until closed. */
export class FactStream {
  private readonly log = new FactLog<Fact>();

  constructor(
    private readonly subscriptions: readonly Subscription[],
    accept: (fact: Fact) => boolean,
    /** Id of the request that is answered; empty when there is none. */
    readonly requestId = '',
    /** Waits until the server has received the subscriptions. */
    readonly ready: Promise<void> = Promise.resolve(),
  ) {
    for (const subscription of subscriptions) void this.pump(subscription, accept);
  }

  /** The bus had this request already and did not store it again: its facts may lie in the past. */
  duplicate = false;

  private async pump(subscription: Subscription, accept: (fact: Fact) => boolean): Promise<void> {
    for await (const message of subscription) {
      const fact = readFact(message.subject, message.headers, message.data, '', Date.now());
      if (accept(fact)) this.log.add(fact);
    }
    this.close();
  }

  /** The first fact, already arrived or still to come, that fits. @throws ClientError `timeout` */
  async first(fits: (fact: Fact) => boolean, timeoutMs: number, nextStep = 'try: plinth status'): Promise<Fact> {
    const fact = await this.within(fits, timeoutMs);
    if (!fact) throw new ClientError(`no answer within ${Math.round(timeoutMs / 1000)} s; ${nextStep}`, 'timeout');
    return fact;
  }

  /** As {@link first}, but undefined when the time is over. @throws ClientError `closed` */
  async within(fits: (fact: Fact) => boolean, timeoutMs: number): Promise<Fact | undefined> {
    const fact = await this.log.within(fits, timeoutMs);
    if (!fact && this.log.isClosed)
      throw new ClientError('the connection ended before an answer came; try: plinth status', 'closed');
    return fact;
  }

  /** Callers that still wait get a ClientError `closed`. */
  close(): void {
    if (this.log.isClosed) return;
    this.log.close();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }
}
