/** Prometheus metrics of the bus, which the provisioner alone may ask about its streams and consumers. */
import { Inject, Injectable } from '@nestjs/common';
import { consumedBy, deadLetter, durableName, STREAMS, streamOf } from '@plinth/contracts';
import {
  CONNECTION,
  greatest,
  LOGGER,
  type Logger,
  type Readings,
  readTogether,
  type Sample,
} from '@plinth/service-kit';
import { type ConsumerInfo, type JetStreamManager, type NatsConnection, NatsError } from 'nats';

const CONSUMER_NOT_FOUND = 10_014;
const MOST_SERVICES = 20;
const SERVICES = ['provisioner', 'image-builder', 'distributor', 'host-agent'];

const FAMILIES = {
  plinth_stream_bytes: { help: 'Size of the streams of the bus', labels: ['stream'] },
  plinth_stream_limit_bytes: { help: 'Most that the streams of the bus may take', labels: ['stream'] },
  plinth_stream_messages: { help: 'Messages in the streams of the bus', labels: ['stream'] },
  plinth_consumer_pending: { help: 'Messages that a shared consumer has not delivered yet', labels: ['consumer'] },
  plinth_consumer_unacknowledged: {
    help: 'Messages that a shared consumer has delivered and that are not acknowledged',
    labels: ['consumer'],
  },
  plinth_dead_letters: { help: 'Messages that could not be handled, by the service', labels: ['unhandled_by'] },
} as const;

@Injectable()
export class BusMetrics {
  constructor(@Inject(CONNECTION) connection: NatsConnection, @Inject(LOGGER) logger: Logger) {
    readTogether(FAMILIES, async () => readBus(await connection.jetstreamManager()), logger);
  }
}

async function readBus(manager: JetStreamManager): Promise<Readings<keyof typeof FAMILIES>> {
  const streams = await Promise.all(
    Object.values(STREAMS).map(async ({ name }) => {
      const { config, state } = await manager.streams.info(name);
      return { labels: { stream: name }, limit: config.max_bytes, bytes: state.bytes, messages: state.messages };
    }),
  );
  const letters = await manager.streams.info(STREAMS.deadLetters.name, {
    subjects_filter: STREAMS.deadLetters.subjects[0],
  });
  const prefix = deadLetter('').length;
  const found = new Map(
    Object.entries(letters.state.subjects ?? {}).map(([subject, count]) => [subject.slice(prefix), count]),
  );
  const consumers = await sharedConsumers(manager);
  const ofConsumers = (count: (info: ConsumerInfo) => number): readonly Sample[] =>
    consumers.map((info) => ({ labels: { consumer: info.name }, value: count(info) }));
  return {
    plinth_stream_bytes: streams.map(({ labels, bytes }) => ({ labels, value: bytes })),
    plinth_stream_limit_bytes: streams.map(({ labels, limit }) => ({ labels, value: limit })),
    plinth_stream_messages: streams.map(({ labels, messages }) => ({ labels, value: messages })),
    plinth_consumer_pending: ofConsumers(({ num_pending }) => num_pending),
    plinth_consumer_unacknowledged: ofConsumers(({ num_ack_pending }) => num_ack_pending),
    plinth_dead_letters: greatest(
      // Those without letters too: an alert sees a number that grows, not one that appears.
      [...new Set([...SERVICES, ...found.keys()])].map((service) => ({
        labels: { unhandled_by: service },
        value: found.get(service) ?? 0,
      })),
      'unhandled_by',
      MOST_SERVICES,
    ),
  };
}

/** Those that all copies of a service share; hosts and storage nodes have one of their own each. */
const SHARED = (['provisioner', 'image-builder'] as const).flatMap((service) =>
  consumedBy(service).map(({ subject }) => ({ stream: streamOf(subject), name: durableName(service, subject) })),
);

async function sharedConsumers(manager: JetStreamManager): Promise<readonly ConsumerInfo[]> {
  const found = await Promise.all(
    SHARED.map(({ stream, name }) =>
      manager.consumers.info(stream, name).catch((error: unknown) => {
        // Its service has never been started.
        if (error instanceof NatsError && error.api_error?.err_code === CONSUMER_NOT_FOUND) return undefined;
        throw error;
      }),
    ),
  );
  return found.filter((info) => info !== undefined);
}
