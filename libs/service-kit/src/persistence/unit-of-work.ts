/**
 * One decision: what it changes in the database and what it announces, in one transaction, with the event that caused
 * it.
 */
import { type EventOf, type EventSubject, fitMessage, type PayloadOf, type SUBJECTS } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { Envelope } from '../messaging/envelope.js';

/** What all events that follow from a request or fact are marked with. */
export interface Cause {
  readonly correlationId: string;
  /** Id of the event; absent: no request asked for it; the time or an observation decided it. */
  readonly causationId?: string;
}

export function causeOf({ correlationId, id }: Envelope): Required<Cause> {
  return { correlationId, causationId: id };
}

type RejectionSubject = (typeof SUBJECTS)[
  | 'imageRejected'
  | 'containerRejected'
  | 'rolloutRejected'
  | 'hostRejected'
  | 'rebalanceRejected'
  | 'tenantRejected'];
/** What is refused and why; the request's id and cause are known. */
export type Refusal<S extends RejectionSubject> = Omit<PayloadOf<S>, 'requestId' | 'problems'>;

export interface PublishOptions {
  /** Events of one aggregate are published in their order; absent: the subject. */
  readonly aggregate?: string;
  /** Absent: random. */
  readonly id?: string;
}

/** An event on its way to the bus; the subject determines the class of the data. */
export type OutboxEvent<S extends EventSubject = EventSubject> = EventOf<S> & {
  /** Absent: the subject. */
  readonly aggregate?: string;
  readonly id?: string;
  readonly correlationId: string;
  readonly causationId?: string;
};

export class UnitOfWork {
  constructor(
    readonly db: EntityManager,
    readonly cause: Cause,
    private readonly add: (event: OutboxEvent) => void,
  ) {}

  /** Published when the transaction is committed. */
  publish<S extends EventSubject>(subject: S, data: PayloadOf<S>, options: PublishOptions = {}): void {
    this.publishEvent({ subject, data } as EventOf, options);
  }

  /** As {@link publish}, for an event that was put together before. */
  publishEvent(event: EventOf, options: PublishOptions = {}): void {
    this.add({ ...event, ...options, ...this.cause });
  }

  /** Answers the request that caused this: nothing was changed. */
  refuse<S extends RejectionSubject>(subject: S, refusal: Refusal<S>, id?: string): void {
    const requestId = this.cause.causationId ?? '';
    const data = { ...refusal, message: fitMessage(refusal.message), requestId, problems: [] };
    this.publishEvent({ subject, data } as unknown as EventOf, { aggregate: `request:${requestId}`, id });
  }

  /** The same transaction, for what goes back to something else. */
  causedBy(cause: Cause): UnitOfWork {
    return new UnitOfWork(this.db, cause, this.add);
  }
}
