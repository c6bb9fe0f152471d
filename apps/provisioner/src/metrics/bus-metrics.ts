/** Prometheus metrics of the bus, which the provisioner alone may ask about its streams and consumers. */
import { Inject, Injectable } from '@nestjs/common';
import { STREAMS } from '@plinth/contracts';
import {
  CONNECTION,
  greatest,
  LOGGER,
  type Logger,
  type Readings,
  readTogether,
  type Sample,
} from '@plinth/service-kit';
import type { ConsumerInfo, JetStreamManager, NatsConnection } from 'nats';

/** Of streams whose consumers are few: those of desired state and statuses have one for each host. */
const LISTED = [STREAMS.events.name, STREAMS.reports.name];
const MOST_CONSUMERS = 100;
const MOST_SERVICES = 20;

const FAMILIES = {
  plinth_stream_bytes: { help: 'Size of the streams of the bus', labels: ['stream'] },
  plinth_stream_limit_bytes: { help: 'Most that the streams of the bus may take', labels: ['stream'] },
  plinth_stream_messages: { help: 'Messages in the streams of the bus', labels: ['stream'] },
  plinth_consumer_pending: { help: 'Messages that a shared consumer has not delivered yet', labels: ['consumer'] },
  plinth_consumer_unacknowledged: {
    help: 'Messages that a shared consumer has delivered and that are not acknowledged',
    labels: ['consumer'],
  },
  plinth_dead_letters: { help: 'Messages that no service could handle, by the service', labels: ['service'] },
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
  const consumers = await sharedConsumers(manager);
  const ofConsumers = (count: (info: ConsumerInfo) => number): readonly Sample[] =>
    greatest(
      consumers.map((info) => ({ labels: { consumer: info.name }, value: count(info) })),
      'consumer',
      MOST_CONSUMERS,
    );
  return {
    plinth_stream_bytes: streams.map(({ labels, bytes }) => ({ labels, value: bytes })),
    plinth_stream_limit_bytes: streams.map(({ labels, limit }) => ({ labels, value: limit })),
    plinth_stream_messages: streams.map(({ labels, messages }) => ({ labels, value: messages })),
    plinth_consumer_pending: ofConsumers(({ num_pending }) => num_pending),
    plinth_consumer_unacknowledged: ofConsumers(({ num_ack_pending }) => num_ack_pending),
    plinth_dead_letters: greatest(
      Object.entries(letters.state.subjects ?? {}).map(([subject, value]) => ({
        labels: { service: subject.slice(subject.indexOf('.') + 1) },
        value,
      })),
      'service',
      MOST_SERVICES,
    ),
  };
}

/** Those that a service keeps: the others are of tools that look, under names of their own each time. */
async function sharedConsumers(manager: JetStreamManager): Promise<readonly ConsumerInfo[]> {
  const found: ConsumerInfo[] = [];
  for (const stream of LISTED)
    for await (const info of manager.consumers.list(stream))
      if (info.config.durable_name !== undefined) found.push(info);
  return found;
}
