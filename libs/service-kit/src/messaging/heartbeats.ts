/**
 * Heartbeats on core NATS, a queue subscription for all copies of a service. They are handled together, twice a second at
 * the most while there are few: ten thousand hosts send two thousand a second, and what is done for each by itself is
 * most of what they cost.
 */
import { type Contract, RepeatedDecoder, unknownFieldsOf } from '@plinth/contracts';
import type { Msg, NatsConnection, Subscription } from 'nats';
import type { Logger } from '../logging.js';
import { InFlight } from './in-flight.js';
import { NewestBatches } from './newest-batches.js';
import { fitsFilter } from './subject-filter.js';

/** A checked heartbeat as a handler gets it. */
export interface ReceivedHeartbeat<T extends object = object> {
  /** By the subject's last token, which the bus lets nobody else use. */
  readonly sender: string;
  readonly data: T;
  /** It differs from the one before of its sender, which this handler got, only in what changes with each. */
  readonly isRepeat: boolean;
}

/** What handles several, each of another sender. */
export type HandleHeartbeats = (beats: readonly ReceivedHeartbeat[]) => Promise<void>;

const MOST_IN_BATCH = 1_024;
const PAUSE_MS = 500;
/** Those that report something new take longer than those that do not. */
const BATCHES_AT_ONCE = 4;

export class Heartbeats {
  private readonly decoder: RepeatedDecoder<object>;
  private readonly inFlight = new InFlight(BATCHES_AT_ONCE);
  private readonly newest: NewestBatches<Msg>;
  private readonly subscription: Subscription;
  private stopping = false;

  constructor(
    connection: NatsConnection,
    private readonly contract: Contract,
    queue: string,
    private readonly handle: HandleHeartbeats,
    private readonly logger: Logger,
  ) {
    this.decoder = new RepeatedDecoder(contract.payload, unknownFieldsOf(contract.kind));
    this.newest = new NewestBatches(async (messages) => this.begin(messages), { most: MOST_IN_BATCH, pause });
    const { subject: expected } = contract;
    this.subscription = connection.subscribe(expected, {
      queue,
      callback: (error, message) => {
        if (error) logger.warn({ err: error, expected }, 'heartbeats are not received');
        // What the server stored keeps its own subject when a client has it delivered here: it is not the subject it
        // came on.
        else if (fitsFilter(message.subject, expected)) this.newest.put(message);
        else logger.warn({ subject: message.subject, expected }, 'a message of another subject is ignored');
      },
    });
  }

  /** Resolves when those that were begun are handled. */
  async close(): Promise<void> {
    this.stopping = true;
    this.subscription.unsubscribe();
    this.newest.clear();
    await this.inFlight.settled();
  }

  private async begin(messages: readonly Msg[]): Promise<void> {
    if (!this.stopping) await this.inFlight.start(undefined, () => this.handleAll(messages));
  }

  private async handleAll(messages: readonly Msg[]): Promise<void> {
    const beats: ReceivedHeartbeat[] = [];
    for (const { subject, data } of messages) {
      const decoded = this.decoder.decode(subject, data);
      if (!decoded.ok) this.logger.warn({ subject, problems: decoded.problems }, 'heartbeat ignored');
      else {
        const sender = subject.slice(subject.lastIndexOf('.') + 1);
        beats.push({ sender, data: decoded.value, isRepeat: decoded.isRepeat });
      }
    }
    try {
      if (beats.length > 0) await this.handle(beats);
    } catch (error) {
      const { subject } = this.contract;
      this.logger.warn({ err: error, subject, count: beats.length }, 'heartbeats not handled; the next ones may be');
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS).unref());
}
