/**
 * Nest's transport on JetStream: every `@OnEvent(subject)` gets a durable pull consumer that all copies of the service
 * share, every heartbeat subject and `@OnQuery(subject)` a queue subscription on core NATS.
 */
import type { CustomTransportStrategy, MessageHandler } from '@nestjs/microservices';
import { Server } from '@nestjs/microservices';
import {
  contractOf,
  type Contract,
  DEAD_LETTER_BODY_BYTES,
  deadLetter,
  decodePayload,
  unknownFieldsOf,
  type Problem,
  type QueryReply,
} from '@plinth/contracts';
import type { ConsumerMessages, JsMsg, Msg, NatsConnection, Subscription } from 'nats';
import { firstValueFrom, isObservable, lastValueFrom } from 'rxjs';
import { type Logger, withLogContext } from '../logging.js';
import type { ReadinessCheck } from '../http/health.controller.js';
import { handledEvents, handlingSeconds } from '../http/metrics.js';
import { ACK_WAIT_MS, type ConsumerSource } from './consumer-source.js';
import { describe, dispose, MAX_DELIVERIES, type Outcome } from './delivery-policy.js';
import { endWhenLost } from './end-when-lost.js';
import { decodeEnvelope, derivedId, type ReceivedEvent } from './envelope.js';
import { Heartbeats, type ReceivedHeartbeat } from './heartbeats.js';
import { InFlight } from './in-flight.js';
import { encodeReplyUnchecked } from './outgoing-contracts.js';
import type { EventPublisher } from './publisher.js';
import { rejectionOf } from './rejection.js';

/** Second argument of `@OnEvent`. */
export interface ConsumerExtras {
  /** Messages of this subject in progress at once; 32 when absent. */
  readonly concurrency?: number;
  /** Messages with the same full subject are handled one after the other. */
  readonly ordered?: boolean;
}

export interface JetStreamStrategyOptions {
  readonly connection: NatsConnection;
  readonly publisher: EventPublisher;
  readonly logger: Logger;
  readonly consumers: ConsumerSource;
  /**
   * Every consumer must be there before it listens; else it listens at once and reports in its readiness what it waits
   * for.
   */
  readonly waitForConsumers: boolean;
  /** e.g. `provisioner`; with {@link consumerGroup} absent also the name that durables begin with. */
  readonly service: string;
  /** Copies with the same group share the work; e.g. `distributor-sn-1`. */
  readonly consumerGroup?: string;
}

/** A consumer whose state can't be asked for sends a heartbeat this often. */
const BLIND_HEARTBEAT_MS = 5_000;

export class JetStreamStrategy extends Server implements CustomTransportStrategy {
  override readonly propagatesEventHandlerErrors = true;
  private readonly consumers: ConsumerMessages[] = [];
  private readonly subscriptions: Subscription[] = [];
  private readonly pumps: Promise<void>[] = [];
  private readonly inFlight: InFlight[] = [];
  private readonly heartbeats: Heartbeats[] = [];
  /** Subjects whose consumer was never open yet, with the reason. */
  private readonly notOpen = new Map<string, string>();
  private stopping = false;

  readonly readiness: ReadinessCheck = {
    name: 'consumers',
    check: async () => [...this.notOpen].map(([subject, reason]) => `${subject}: ${reason}`)[0],
  };

  constructor(private readonly options: JetStreamStrategyOptions) {
    super();
  }

  private get group(): string {
    return this.options.consumerGroup ?? this.options.service;
  }

  async listen(callback: (error?: unknown) => void): Promise<void> {
    try {
      for (const [subject, handler] of this.messageHandlers) {
        const contract = contractOf(subject);
        if (contract.kind === 'query') this.serveQueries(contract, handler);
        else if (contract.kind === 'heartbeat') this.serveHeartbeats(contract, handler);
        else await this.consume(contract, handler);
      }
      callback();
    } catch (error) {
      callback(error);
    }
  }

  /** Stops taking work, waits for what is in progress, releases the rest. */
  async close(): Promise<void> {
    this.stopping = true;
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    for (const messages of this.consumers) messages.stop();
    await Promise.all(this.heartbeats.map((each) => each.close()));
    await Promise.all(this.pumps);
    await Promise.all(this.inFlight.map((work) => work.settled()));
  }

  on(): never {
    throw new Error('the JetStream transport has no events of its own');
  }

  unwrap<T>(): T {
    return this.options.connection as T;
  }

  private async consume(contract: Contract, handler: MessageHandler): Promise<void> {
    const extras = (handler.extras ?? {}) as ConsumerExtras;
    const concurrency = extras.concurrency ?? 32;
    const inFlight = new InFlight(concurrency);
    this.inFlight.push(inFlight);
    if (this.options.waitForConsumers) await this.options.consumers.durable(this.group, contract.subject);
    else this.notOpen.set(contract.subject, 'not asked for yet');
    this.pumps.push(this.pump(contract, handler, extras, concurrency, inFlight));
  }

  private async openConsumer(contract: Contract, concurrency: number): Promise<ConsumerMessages> {
    const { consumer, blind } = await this.options.consumers.durable(this.group, contract.subject);
    this.notOpen.delete(contract.subject);
    const max_messages = Math.max(concurrency, 2);
    const messages = await consumer.consume(
      blind
        ? { max_messages, bind: true, idle_heartbeat: BLIND_HEARTBEAT_MS, expires: 2 * BLIND_HEARTBEAT_MS }
        : { max_messages },
    );
    void endWhenLost(messages, blind);
    return messages;
  }

  /** Consumes until closed; a consumer or stream that vanished with the server's store is made again. */
  private async pump(
    contract: Contract,
    handler: MessageHandler,
    extras: ConsumerExtras,
    concurrency: number,
    inFlight: InFlight,
  ): Promise<void> {
    for (let failures = 0; !this.stopping;) {
      try {
        const messages = await this.openConsumer(contract, concurrency);
        this.consumers.push(messages);
        // close() stops those that are open.
        if (this.stopping) messages.stop();
        for await (const message of messages) {
          failures = 0;
          if (this.stopping) {
            message.nak();
            continue;
          }
          await inFlight.start(extras.ordered ? message.subject : undefined, () =>
            this.handle(contract, handler, message),
          );
        }
      } catch (error) {
        if (this.stopping || this.options.connection.isClosed()) return;
        if (this.notOpen.has(contract.subject)) this.notOpen.set(contract.subject, describe(error));
        this.options.logger.warn({ err: error, subject: contract.subject }, 'consumer interrupted; it is opened again');
      }
      if (this.stopping || this.options.connection.isClosed()) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** failures++, 5_000)));
    }
  }

  private async handle(contract: Contract, handler: MessageHandler, message: JsMsg): Promise<void> {
    const { logger } = this.options;
    const attempt = message.info.deliveryCount;
    const storedAtMs = message.info.timestampNanos / 1e6;
    const envelope = decodeEnvelope(message.headers, {
      subject: message.subject,
      position: `${message.info.stream}/${message.seq}/${message.info.timestampNanos}`,
      storedAtMs,
    });
    await withLogContext(
      { correlationId: envelope.correlationId, eventId: envelope.id, subject: message.subject },
      async () => {
        const working = setInterval(() => message.working(), ACK_WAIT_MS / 3);
        const stopTimer = handlingSeconds.startTimer({ subject: contract.subject });
        try {
          const outcome = await this.run(contract, handler, message, {
            ...envelope,
            subject: message.subject,
            tokens: message.subject.split('.'),
            storedAtMs,
            attempt,
            data: {},
          });
          const disposition = dispose(outcome, attempt, Math.random());
          handledEvents.inc({ subject: contract.subject, outcome: outcome.kind });
          if (outcome.kind === 'failed')
            logger.warn({ err: outcome.error, attempt, action: disposition.action }, 'handler failed');
          if (disposition.action === 'ack') message.ack();
          else if (disposition.action === 'retry') message.nak(disposition.delayMs);
          else {
            const problems = outcome.kind === 'invalid' ? [...outcome.problems] : [];
            const rejection = disposition.reject
              ? rejectionOf(
                  message.subject,
                  envelope.id,
                  outcome.kind === 'invalid' ? 'invalid-request' : 'internal-error',
                  problems,
                  message.data,
                )
              : undefined;
            if (rejection) {
              await this.options.publisher.publish({
                ...rejection,
                id: derivedId('rejected', message.subject, envelope.id),
                correlationId: envelope.correlationId,
                causationId: envelope.id,
              });
            }
            await this.putAside(message, envelope.id, disposition.reason, problems, attempt);
            message.term();
          }
        } catch (error) {
          // The bus did not take the rejection or the dead letter: keep the message, it comes again.
          logger.error({ err: error }, 'could not settle a message');
          message.nak(1_000);
        } finally {
          clearInterval(working);
          stopTimer();
        }
      },
    );
  }

  private async run(
    contract: Contract,
    handler: MessageHandler,
    message: JsMsg,
    event: ReceivedEvent,
  ): Promise<Outcome> {
    if (event.attempt > MAX_DELIVERIES)
      return { kind: 'failed', error: new Error('every delivery so far ended the process or timed out') };
    const decoded = decodePayload(contract.payload, message.data, unknownFieldsOf(contract.kind));
    if (!decoded.ok) return { kind: 'invalid', problems: decoded.problems };
    try {
      await settle(await handler({ ...event, data: decoded.value }, undefined));
      return { kind: 'handled' };
    } catch (error) {
      return { kind: 'failed', error };
    }
  }

  private async putAside(
    message: JsMsg,
    eventId: string,
    reason: string,
    problems: readonly Problem[],
    attempts: number,
  ): Promise<void> {
    const body = Buffer.from(message.data.subarray(0, DEAD_LETTER_BODY_BYTES));
    await this.options.publisher.publish({
      subject: deadLetter(this.options.service),
      id: derivedId('dead-letter', this.options.service, message.subject, eventId),
      causationId: eventId,
      data: {
        subject: message.subject,
        stream: message.info.stream,
        sequence: message.seq,
        eventId,
        reason,
        problems,
        attempts,
        bytes: message.data.length,
        body: body.toString('base64'),
      },
    });
  }

  private serveHeartbeats(contract: Contract, handler: MessageHandler): void {
    const { connection, logger } = this.options;
    const handle = async (beats: readonly ReceivedHeartbeat[]): Promise<void> => {
      await settle(await handler(beats, undefined));
    };
    this.heartbeats.push(new Heartbeats(connection, contract, this.group, handle, logger));
  }

  private serveQueries(contract: Contract, handler: MessageHandler): void {
    const { connection, logger } = this.options;
    const inFlight = new InFlight(64);
    this.inFlight.push(inFlight);
    const subscription = connection.subscribe(contract.subject, { queue: this.group });
    this.subscriptions.push(subscription);
    this.pumps.push(
      this.drainSubscription(subscription, (message) =>
        inFlight.start(undefined, async () => {
          message.respond(await this.answer(contract, handler, message));
        }),
      ),
    );
    logger.debug({ subject: contract.subject }, 'query is served');
  }

  private async answer(contract: Contract, handler: MessageHandler, message: Msg): Promise<string> {
    const decoded = decodePayload(
      contract.payload,
      message.data.length === 0 ? Buffer.from('{}') : message.data,
      unknownFieldsOf(contract.kind),
    );
    if (!decoded.ok) {
      const found = decoded.problems.map((problem) => `${problem.path}: ${problem.message}`).join('; ');
      return encodeReplyUnchecked(contract.subject, { ok: false, reason: 'invalid-request', message: found });
    }
    try {
      const reply: unknown = await settle(await handler(decoded.value, undefined));
      return encodeReplyUnchecked(contract.subject, reply as QueryReply<unknown>);
    } catch (error) {
      this.options.logger.error({ err: error, subject: message.subject }, 'query failed');
      const reply = { ok: false, reason: 'internal-error', message: describe(error).slice(0, 500) } as const;
      return encodeReplyUnchecked(contract.subject, reply);
    }
  }

  private async drainSubscription(subscription: Subscription, take: (message: Msg) => Promise<void>): Promise<void> {
    for await (const message of subscription) await take(message);
  }
}

/** Nest wraps what a handler returns: in a promise of an observable, where an error hides until it is subscribed to. */
async function settle(result: unknown): Promise<unknown> {
  const value: unknown = await result;
  if (!isObservable(value)) return value;
  const inner: unknown = await lastValueFrom(value, { defaultValue: undefined });
  return isObservable(inner) ? firstValueFrom(inner, { defaultValue: undefined }) : inner;
}
