/**
 * Where a service's consumers come from: it makes them itself, or may only bind to those the provisioner opens for it.
 */
import {
  contractOf,
  durableName,
  type OpenedConsumers,
  type QueryReply,
  type StreamName,
  type StreamPosition,
  streamOf,
  STREAMS,
} from '@plinth/contracts';
import {
  AckPolicy,
  type Consumer,
  type ConsumerInfo,
  DeliverPolicy,
  type JetStreamManager,
  nanos,
  type NatsConnection,
  NatsError,
} from 'nats';

export interface BoundConsumer {
  readonly consumer: Consumer;
  /** Messages that waited when it was opened; unknown (0) for durables. */
  readonly pending: number;
  /** True without the right to ask for the consumer's state: heartbeats alone show whether it is still there. */
  readonly blind: boolean;
}

export interface ConsumerSource {
  /** The durable that all copies of a group share for a subject of the catalogue. */
  durable(group: string, subject: string): Promise<BoundConsumer>;
  /**
   * A consumer that gives the last value of every subject below the filter first, then changes; without
   * acknowledgement.
   */
  lastValues(stream: StreamName, filter: string): Promise<BoundConsumer>;
  /** A consumer of everything in a stream from a position on, without acknowledgement. */
  from(stream: StreamName, sequence: number): Promise<BoundConsumer>;
  /** Where the streams stand; those that are not there are left out. */
  positions(): Promise<readonly StreamPosition[]>;
}

/**
 * How soon a message comes again when the process that took it died; a handler that runs reports so every third of it.
 */
export const ACK_WAIT_MS = 10_000;
const CONSUMER_NOT_FOUND = 10_014;
const ASK_TIMEOUT_MS = 5_000;
/** A watcher that is gone for longer begins again. */
const WATCH_THRESHOLD_MS = 60_000;
/** So long a reader that was restarted waits for its consumer of before to end. */
const TAIL_THRESHOLD_MS = 10_000;

/** For the provisioner, and for servers without access control. */
export class OwnConsumers implements ConsumerSource {
  constructor(private readonly connection: NatsConnection) {}

  async durable(group: string, subject: string): Promise<BoundConsumer> {
    const durable = await ensureDurable(await this.connection.jetstreamManager(), group, subject);
    return {
      consumer: await this.connection.jetstream().consumers.get(streamOf(subject), durable),
      pending: 0,
      blind: false,
    };
  }

  async lastValues(stream: StreamName, filter: string): Promise<BoundConsumer> {
    const jsm = await this.connection.jetstreamManager();
    const info = await addLastValueConsumer(jsm, stream, filter);
    return {
      consumer: await this.connection.jetstream().consumers.get(stream, info.name),
      pending: info.num_pending,
      blind: false,
    };
  }

  async from(stream: StreamName, sequence: number): Promise<BoundConsumer> {
    const info = await addConsumerFrom(await this.connection.jetstreamManager(), stream, sequence);
    return {
      consumer: await this.connection.jetstream().consumers.get(stream, info.name),
      pending: info.num_pending,
      blind: false,
    };
  }

  async positions(): Promise<readonly StreamPosition[]> {
    return streamPositions(await this.connection.jetstreamManager());
  }
}

/** A consumer of all that a stream holds from a position on. */
export interface KeptTail {
  readonly stream: StreamName;
  /** Subject on which it is asked for. */
  readonly request: string;
  readonly consumer: string;
}

/** A consumer of last values that is opened by itself. */
export interface KeptWatch {
  /** Subjects whose last values it gives. */
  readonly filter: string;
  /** Subject on which it is asked for. */
  readonly request: string;
  readonly consumer: string;
}

/** For services that have no right to create consumers. */
export class KeptConsumers implements ConsumerSource {
  /**
   * @param request subject on which its consumers are asked for, e.g. `consumers.host.h-1`
   * @param watcher name of its consumer of last values, where it has one
   */
  constructor(
    private readonly connection: NatsConnection,
    private readonly request: string,
    private readonly watcher?: string,
    private readonly watches: readonly KeptWatch[] = [],
    private readonly tails: readonly KeptTail[] = [],
  ) {}

  async durable(group: string, subject: string): Promise<BoundConsumer> {
    await this.open();
    return this.bind(streamOf(subject), durableName(group, subject), 0);
  }

  async lastValues(stream: StreamName, filter: string): Promise<BoundConsumer> {
    const watch = this.watches.find((candidate) => candidate.filter === filter);
    if (watch) return this.bind(stream, watch.consumer, (await this.open(watch.request)).pending);
    if (this.watcher === undefined) throw new Error(`nothing gives ${this.request} a consumer of last values`);
    const { pending } = await this.open();
    return this.bind(stream, this.watcher, pending);
  }

  async from(stream: StreamName, sequence: number): Promise<BoundConsumer> {
    const tail = this.tails.find((candidate) => candidate.stream === stream);
    if (!tail) throw new Error(`nothing gives ${this.request} a consumer of ${stream}`);
    const { pending } = await this.open(tail.request, { from: sequence });
    return this.bind(stream, tail.consumer, pending);
  }

  async positions(): Promise<readonly StreamPosition[]> {
    return (await this.open()).streams;
  }

  private async open(request = this.request, body: object = {}): Promise<OpenedConsumers> {
    let reply: QueryReply<OpenedConsumers>;
    try {
      reply = (await this.connection.request(request, JSON.stringify(body), { timeout: ASK_TIMEOUT_MS })).json();
    } catch (error) {
      if (error instanceof NatsError)
        throw new Error(`no provisioner answers ${request}, so the consumers are not open`, { cause: error });
      throw error;
    }
    if (!reply.ok) throw new Error(`the consumers were not opened: ${reply.message}`);
    return reply.data;
  }

  private bind(stream: StreamName, name: string, pending: number): BoundConsumer {
    // The client only needs to know where to pull from.
    const info = { stream_name: stream, name, config: {} } as unknown as ConsumerInfo;
    return { consumer: this.connection.jetstream().consumers.getPullConsumerFor(info), pending, blind: true };
  }
}

/** @returns its name */
export async function ensureDurable(jsm: JetStreamManager, group: string, subject: string): Promise<string> {
  const contract = contractOf(subject);
  const stream = streamOf(contract.subject);
  const durable = durableName(group, contract.subject);
  await jsm.consumers.info(stream, durable).catch(async (error: unknown) => {
    if (!(error instanceof NatsError) || error.api_error?.err_code !== CONSUMER_NOT_FOUND) throw error;
    await jsm.consumers.add(stream, {
      durable_name: durable,
      filter_subject: contract.subject,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(ACK_WAIT_MS),
      deliver_policy: DeliverPolicy.All,
      // The policy counts deliveries itself, so that the last one ends in a dead letter and not in silence.
      max_deliver: -1,
      max_ack_pending: 5_000,
    });
  });
  return durable;
}

/** @param name absent: the server gives one; one that exists is made again, so that all present values come again */
export async function addLastValueConsumer(
  jsm: JetStreamManager,
  stream: StreamName,
  filter: string,
  name?: string,
): Promise<ConsumerInfo> {
  if (name !== undefined) {
    await jsm.consumers.delete(stream, name).catch((error: unknown) => {
      if (!(error instanceof NatsError) || error.api_error?.err_code !== CONSUMER_NOT_FOUND) throw error;
    });
  }
  return jsm.consumers.add(stream, {
    name,
    filter_subject: filter,
    deliver_policy: DeliverPolicy.LastPerSubject,
    ack_policy: AckPolicy.None,
    inactive_threshold: nanos(WATCH_THRESHOLD_MS),
    mem_storage: true,
    num_replicas: 1,
  });
}

/**
 * Deletes none of the name: in this stream nobody may delete consumers. One that is left by a process that died ends by
 * itself.
 * @throws Error while it is there
 */
export async function addConsumerFrom(
  jsm: JetStreamManager,
  stream: StreamName,
  sequence: number,
  name?: string,
): Promise<ConsumerInfo> {
  const info = await jsm.consumers.add(stream, {
    name,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: sequence,
    ack_policy: AckPolicy.None,
    inactive_threshold: nanos(TAIL_THRESHOLD_MS),
    mem_storage: true,
    num_replicas: 1,
  });
  if (info.delivered.consumer_seq > 0) throw new Error(`the consumer ${info.name} of before has not ended yet`);
  return info;
}

export async function streamPositions(jsm: JetStreamManager): Promise<readonly StreamPosition[]> {
  const found = await Promise.all(
    Object.values(STREAMS).map(({ name }) =>
      jsm.streams.info(name).catch((error: unknown) => {
        if (error instanceof NatsError) return undefined;
        throw error;
      }),
    ),
  );
  return found.flatMap((info) =>
    info
      ? [
          {
            name: info.config.name,
            created: String(info.created),
            lastSequence: info.state.last_seq,
            messages: info.state.messages,
          },
        ]
      : [],
  );
}
