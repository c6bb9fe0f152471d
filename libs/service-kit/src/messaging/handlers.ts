/**
 * What makes a method of a controller the handler of a subject; the compiler holds its parameter and its reply against
 * the contract.
 */
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import type { EventSubject, HeartbeatSubject, PayloadOf, QueryReply, QuerySubject, ReplyOf } from '@plinth/contracts';
import type { ReceivedEvent } from './envelope.js';
import type { ReceivedHeartbeat } from './heartbeats.js';
import type { ConsumerExtras } from './jetstream.strategy.js';

/** The method gets every event of the subject, at least once each. */
export function OnEvent<S extends EventSubject>(subject: S, extras?: ConsumerExtras) {
  const mark = extras ? EventPattern<string>(subject, { ...extras }) : EventPattern<string>(subject);
  return <M extends (event: ReceivedEvent<PayloadOf<S>>) => Promise<unknown>>(
    target: object,
    name: string,
    method: TypedPropertyDescriptor<M>,
  ): void => void mark(target, name, method);
}

/** The method gets heartbeats that arrived at about the same time, of each sender the newest; some may be lost. */
export function OnHeartbeats<S extends HeartbeatSubject>(subject: S) {
  const mark = EventPattern<string>(subject);
  return <M extends (beats: readonly ReceivedHeartbeat<PayloadOf<S>>[]) => Promise<unknown>>(
    target: object,
    name: string,
    method: TypedPropertyDescriptor<M>,
  ): void => void mark(target, name, method);
}

/** The method answers the query. */
export function OnQuery<S extends QuerySubject>(subject: S) {
  const mark = MessagePattern<string>(subject);
  return <M extends (query: PayloadOf<S>) => Promise<QueryReply<ReplyOf<S>>>>(
    target: object,
    name: string,
    method: TypedPropertyDescriptor<M>,
  ): void => void mark(target, name, method);
}
