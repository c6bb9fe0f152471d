/** Contracts as most of them are: who publishes and who consumes follows from what kind they are. */
import { ask, define, type Party, type Payload, type Reply } from './contract.js';

const PEOPLE: readonly Party[] = ['upstream', 'operator'];
const READERS: readonly Party[] = [...PEOPLE, 'console'];

/** A request to the provisioner. */
export const asked = <S extends string, T extends object>(subject: S, payload: Payload<T>, summary: string) =>
  define(subject, 'request', payload, summary, PEOPLE, ['provisioner']);

/** A fact that the provisioner publishes for any subscriber. */
export const official = <S extends string, T extends object>(subject: S, payload: Payload<T>, summary: string) =>
  define(subject, 'fact', payload, summary, ['provisioner'], []);

/** A fact that other services act on. */
export const fact = <S extends string, T extends object>(
  subject: S,
  payload: Payload<T>,
  summary: string,
  publisher: Party,
  ...consumers: readonly Party[]
) => define(subject, 'fact', payload, summary, [publisher], consumers);

export const query = <S extends string, T extends object, R>(
  subject: S,
  payload: Payload<T>,
  reply: Reply<R>,
  summary: string,
  answers: Party,
) => ask(subject, 'query', payload, reply, summary, PEOPLE, [answers]);

/** A query that the console asks, too. */
export const read = <S extends string, T extends object, R>(
  subject: S,
  payload: Payload<T>,
  reply: Reply<R>,
  summary: string,
  answers: Party,
) => ask(subject, 'query', payload, reply, summary, READERS, [answers]);

/** A request of an operator. */
export const ordered = <S extends string, T extends object>(
  subject: S,
  payload: Payload<T>,
  summary: string,
  to: Party,
) => define(subject, 'request', payload, summary, ['operator'], [to]);
