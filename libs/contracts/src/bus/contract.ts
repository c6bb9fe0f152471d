/** What a contract holds: subject, kind, the classes of what is sent and answered, who publishes and who consumes. */
export type Payload<T extends object = object> = new () => T;
/** `status`: the last value of each subject is kept. `consumers`: asks the provisioner for consumers. */
export type ContractKind =
  | 'request'
  | 'fact'
  | 'report'
  | 'desired'
  | 'status'
  | 'dead-letter'
  | 'heartbeat'
  | 'query'
  | 'consumers';
/** Kinds that people and upstream systems send: a field that the contract does not have is a mistake in them. */
const OF_USERS: readonly ContractKind[] = ['request', 'query'];

/**
 * What happens to fields that the contract does not have. A user's request with one is a mistake. A message of a service
 * with one is of a newer version of it, see docs/adr/0011; nothing of the field reaches the receiver.
 */
export type UnknownFields = 'refused' | 'ignored';

/** What a receiver does with fields that the contract of this kind does not have. */
export function unknownFieldsOf(kind: ContractKind): UnknownFields {
  return OF_USERS.includes(kind) ? 'refused' : 'ignored';
}

export type Party =
  | 'upstream'
  | 'operator'
  | 'image-builder'
  | 'distributor'
  | 'provisioner'
  | 'host-agent'
  | 'console';

export interface Contract<
  S extends string = string,
  K extends ContractKind = ContractKind,
  T extends object = object,
  R = unknown,
> {
  /** NATS subject, `*` for the tokens that name an instance. */
  readonly subject: S;
  readonly kind: K;
  readonly payload: Payload<T>;
  readonly summary: string;
  readonly publishers: readonly Party[];
  readonly consumers: readonly Party[];
  /** What a query is answered with: one object, or a bare list of them. */
  readonly reply?: Reply<R>;
}

export interface Reply<R> {
  readonly item: Payload;
  readonly isList: boolean;
  /** Never set: it carries the type. */
  readonly type?: R;
}

/** An answer of one object. */
export const one = <R extends object>(item: Payload<R>): Reply<R> => ({ item, isList: false });
/** An answer that is a bare list. */
export const listOf = <R extends object>(item: Payload<R>): Reply<R[]> => ({ item, isList: true });

/** A contract without an answer. */
export const define = <S extends string, K extends Exclude<ContractKind, 'query' | 'consumers'>, T extends object>(
  subject: S,
  kind: K,
  payload: Payload<T>,
  summary: string,
  publishers: readonly Party[],
  consumers: readonly Party[],
): Contract<S, K, T, never> => ({ subject, kind, payload, summary, publishers, consumers });

/** A question and its answer. */
export const ask = <S extends string, K extends 'query' | 'consumers', T extends object, R>(
  subject: S,
  kind: K,
  payload: Payload<T>,
  reply: Reply<R>,
  summary: string,
  publishers: readonly Party[],
  consumers: readonly Party[],
): Contract<S, K, T, R> => ({ subject, kind, payload, reply, summary, publishers, consumers });
