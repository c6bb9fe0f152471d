/** Which class a subject carries and what a query is answered with, for the compiler: read off the catalogue. */
import type { CATALOGUE } from './catalogue.js';
import type { Contract, ContractKind } from './contract.js';

type Entry = (typeof CATALOGUE)[number];
type EntryOf<K extends ContractKind> = Extract<Entry, { readonly kind: K }>;
type Payloads = { [E in Entry as E['subject']]: InstanceType<E['payload']> };
type Replies = {
  [E in EntryOf<'query' | 'consumers'> as E['subject']]: E extends Contract<string, ContractKind, object, infer R>
    ? R
    : never;
};

/** What JetStream stores. A subject that names an instance fits when it was made by its function in `subjects.ts`. */
export type EventSubject = EntryOf<'request' | 'fact' | 'report' | 'desired' | 'status' | 'dead-letter'>['subject'];
export type RequestSubject = EntryOf<'request'>['subject'];
export type FactSubject = EntryOf<'fact'>['subject'];
export type HeartbeatSubject = EntryOf<'heartbeat'>['subject'];
export type QuerySubject = EntryOf<'query' | 'consumers'>['subject'];

/** The class of what is sent under a subject. */
export type PayloadOf<S extends Entry['subject']> = Payloads[S];
/** What a query is answered with. */
export type ReplyOf<S extends QuerySubject> = Replies[S];

/** One event as its contract requires it: the subject determines the class of the data. */
export type EventOf<S extends EventSubject = EventSubject> = S extends EventSubject
  ? { readonly subject: S; readonly data: PayloadOf<S> }
  : never;
