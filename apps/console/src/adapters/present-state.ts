/**
 * Keeps the present state in memory: last values of the bus, and whether they are the present ones. They are while the
 * bus is connected, the provisioner answers where the streams stand, and everything up to there was received.
 */
import { Inject, Injectable } from '@nestjs/common';
import {
  ContainerStatus,
  contractFor,
  decodePayload,
  type StreamPosition,
  STATUSES,
  STREAMS,
  unknownFieldsOf,
  withNulls,
} from '@plinth/contracts';
import {
  CONNECTION,
  type ConsumerSource,
  decodeEnvelope,
  type Envelope,
  CONSUMERS,
  type OrderedReading,
  type Logger,
  LOGGER,
  type ReadinessCheck,
  watchLastValues,
} from '@plinth/service-kit';
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Events, type JsMsg, type NatsConnection } from 'nats';
import { type Entry, LiveState } from '../domain/live-state.js';
import type { Position } from '../domain/position.js';
import type { Currency } from '../domain/stream-message.js';
import { isLive } from './metrics.js';
import { placeOf } from '../domain/topics.js';

/** Between two looks at where the streams stand. */
const LOOK_MS = 2_000;

interface StateEvents {
  /** Something changed; look at the state. */
  change: [];
  /** {@link PresentState.currency} is another. */
  currency: [];
  /** A status came; with what it follows from. */
  status: [subject: string, envelope: Envelope];
}

@Injectable()
export class PresentState extends EventEmitter<StateEvents> {
  readonly state = new LiveState();
  private watch: OrderedReading | undefined;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;
  private epoch: string | undefined;
  private streams: readonly StreamPosition[] = [];
  private isComplete = false;
  private hasCaughtUp = false;
  /** Positions up to here have no value that is still to come. */
  private noneBelow = 0;
  private problem: string | null = 'the bus has not been read yet';
  private presentAt = new Date(0).toISOString();

  constructor(
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(CONSUMERS) private readonly consumers: ConsumerSource,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    super();
    this.setMaxListeners(0);
  }

  start(): void {
    this.followConnection().catch((error: unknown) =>
      this.logger.error({ err: error }, 'the state of the connection is not known any more'),
    );
    this.watch = watchLastValues(this.connection, {
      stream: STREAMS.status.name,
      subject: STATUSES,
      consumers: this.consumers,
      onValue: (subject, body, message) => this.take(subject, body, message),
      onCaughtUp: () => this.caughtUp(),
      logger: this.logger,
    });
    this.timer = setInterval(() => this.look(), LOOK_MS);
    this.look();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.watch?.close();
    await this.looking;
  }

  get currency(): Currency {
    const live = this.problem === null;
    return { live, at: live ? new Date().toISOString() : this.presentAt, problem: this.problem };
  }

  /** undefined: not everything was received once. */
  get position(): Position | undefined {
    if (!this.isComplete || this.epoch === undefined) return undefined;
    return { epoch: this.epoch, sequence: this.state.sequence, at: Date.now() };
  }

  /** Messages that no service could take; undefined: not known. */
  get deadLetters(): number | undefined {
    return this.streams.find(({ name }) => name === STREAMS.deadLetters.name)?.messages;
  }

  /** Of a container that is there. */
  tenantOf(containerId: string): string | undefined {
    return this.state.get('containers', containerId)?.tenant;
  }

  readonly readiness: ReadinessCheck = {
    name: 'state',
    check: () => Promise.resolve(this.position === undefined ? 'not everything was received so far' : undefined),
  };

  private take(subject: string, body: Uint8Array, message: JsMsg): void {
    if (message.info.deliverySequence === 1) this.state.beginPass();
    const place = placeOf(subject);
    if (this.listenerCount('status') > 0 && message.headers)
      this.emit(
        'status',
        subject,
        decodeEnvelope(message.headers, { subject, position: String(message.seq), storedAtMs: 0 }),
      );
    const contract = place && contractFor(subject);
    if (!place || !contract) return;
    const decoded = decodePayload(contract.payload, body, unknownFieldsOf('status'));
    if (!decoded.ok) {
      this.logger.warn({ subject, problems: decoded.problems }, 'a status that is none was left out');
      return;
    }
    const value = withNulls(contract.payload, decoded.value);
    const gone = value instanceof ContainerStatus && value.state === 'removed';
    const entry = { ...place, sequence: message.seq, value: gone ? null : value, ...(gone ? { was: value } : {}) };
    if (this.state.put(entry as Entry)) this.emit('change');
  }

  private caughtUp(): void {
    this.state.endPass();
    this.isComplete = true;
    this.hasCaughtUp = true;
    this.emit('change');
    this.look();
  }

  private look(): void {
    this.looking ??= this.compare().finally(() => (this.looking = undefined));
  }

  private async compare(): Promise<void> {
    const before = this.statusSequence();
    try {
      this.streams = await this.consumers.positions();
    } catch (error) {
      this.report(error instanceof Error ? error.message : String(error));
      return;
    }
    const created = this.streams.find(({ name }) => name === STREAMS.status.name)?.created;
    if (created === undefined) return this.report('the bus has no stream of statuses');
    const epoch = createHash('sha256').update(created).digest('hex').slice(0, 8);
    if (this.epoch !== undefined && this.epoch !== epoch) {
      // The watch begins again by itself: its consumer went with the stream.
      this.state.restart();
      this.isComplete = false;
      this.noneBelow = 0;
    }
    this.epoch = epoch;
    // The newest value may have been deleted: then none comes with the last position.
    if (this.hasCaughtUp) this.noneBelow = this.statusSequence();
    this.hasCaughtUp = false;
    // What was published since the look before may still be on its way.
    const isBehind = before > Math.max(this.state.sequence, this.noneBelow) && before <= this.statusSequence();
    const problem = this.isComplete ? this.watch?.problem() : 'not everything was received so far';
    this.report(problem ?? (isBehind ? 'values are still on their way' : null));
  }

  private statusSequence(): number {
    return this.streams.find(({ name }) => name === STREAMS.status.name)?.lastSequence ?? 0;
  }

  private report(problem: string | null): void {
    const before = this.problem;
    if (problem === null) this.presentAt = new Date().toISOString();
    this.problem = problem;
    isLive.set(problem === null ? 1 : 0);
    if ((problem === null) !== (before === null) || problem !== before) this.emit('currency');
  }

  private async followConnection(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === Events.Disconnect) this.report('the bus does not answer');
      if (type === Events.Reconnect) this.look();
    }
  }
}
