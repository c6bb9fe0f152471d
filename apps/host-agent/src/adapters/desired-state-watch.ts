/** Receives the desired state of this host's containers from the bus. */
import {
  ContainerConfig,
  contractFor,
  decodePayload,
  DESIRED_IMAGES,
  desiredContainer,
  desiredHostImages,
  desiredImage,
  desiredNeighbours,
  desiredTenantEgress,
  desiredOfHost,
  HostImages,
  ID_PATTERN,
  type Problem,
  ProductionImage,
  STREAMS,
  TenantEgress,
  TenantNeighbours,
} from '@plinth/contracts';
import {
  type ConsumerSource,
  decodeEnvelope,
  type Logger,
  type OrderedReading,
  readStored,
  watchLastValues,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';

export interface DesiredStateSink {
  accept(config: ContainerConfig, cause: { readonly correlationId: string; readonly causationId: string }): void;
  neighbours(part: TenantNeighbours): void;
  tenantEgress(value: TenantEgress): void;
  /** What this host's own store holds besides what its containers need. */
  images(value: HostImages): void;
  /** Every present value was given. */
  caughtUp(): void;
  /** @param containerId from the subject; undefined: the subject can't be read either */
  refuse(containerId: string | undefined, generation: number, problems: readonly Problem[]): void;
}

export function watchDesiredState(
  connection: NatsConnection,
  consumers: ConsumerSource,
  host: string,
  sink: DesiredStateSink,
  logger: Logger,
): OrderedReading {
  return watchLastValues(connection, {
    consumers,
    stream: STREAMS.desired.name,
    subject: desiredOfHost(host),
    logger,
    onCaughtUp: () => {
      logger.info('desired state read');
      sink.caughtUp();
    },
    onValue: (subject, body, message) => {
      const payload: unknown = contractFor(subject)?.payload;
      if (payload === TenantEgress) {
        const value = decodePayload(TenantEgress, body, 'ignored');
        if (value.ok && subject === desiredTenantEgress(host, value.value.tenantNumber))
          return sink.tenantEgress(value.value);
        logger.error({ subject, problems: value.ok ? [] : value.problems }, 'egress policy of a tenant ignored');
        return;
      }
      if (payload === TenantNeighbours) {
        const part = decodePayload(TenantNeighbours, body, 'ignored');
        if (part.ok && subject === desiredNeighbours(host, part.value.tenantNumber, part.value.shard))
          return sink.neighbours(part.value);
        logger.error({ subject, problems: part.ok ? [] : part.problems }, 'containers of other hosts ignored');
        return;
      }
      if (payload === HostImages) {
        const value = decodePayload(HostImages, body, 'ignored');
        if (value.ok && subject === desiredHostImages(host) && value.value.host === host)
          return sink.images(value.value);
        logger.error({ subject, problems: value.ok ? [] : value.problems }, 'images for this host ignored');
        return;
      }
      const id = subject.slice(subject.lastIndexOf('.') + 1);
      const decoded = decodePayload(ContainerConfig, body, 'ignored');
      const mine = decoded.ok && decoded.value.containerId === id && decoded.value.host === host;
      if (!mine) {
        const problems = decoded.ok ? [{ path: '', message: `does not belong under ${subject}` }] : decoded.problems;
        logger.error({ subject, problems }, 'desired state ignored');
        sink.refuse(ID_PATTERN.test(id) ? id : undefined, generationIn(body), problems);
        return;
      }
      const storedAtMs = message.info.timestampNanos / 1e6;
      const envelope = decodeEnvelope(message.headers, {
        subject,
        position: `${message.info.stream}:${message.seq}:${storedAtMs}`,
        storedAtMs,
      });
      sink.accept(decoded.value, { correlationId: envelope.correlationId, causationId: envelope.id });
    },
  });
}

export interface ProductionSink {
  accept(value: ProductionImage): void;
  /** Every present value was given. */
  caughtUp(): void;
}

/** What is in production. */
export function watchProduction(
  connection: NatsConnection,
  consumers: ConsumerSource,
  sink: ProductionSink,
  logger: Logger,
): OrderedReading {
  return watchLastValues(connection, {
    consumers,
    stream: STREAMS.desired.name,
    subject: DESIRED_IMAGES,
    logger,
    onCaughtUp: () => sink.caughtUp(),
    onValue: (subject, body) => {
      const decoded = decodePayload(ProductionImage, body, 'ignored');
      if (decoded.ok && subject === desiredImage(decoded.value.name, decoded.value.version))
        return sink.accept(decoded.value);
      logger.error({ subject, problems: decoded.ok ? [] : decoded.problems }, 'image in production ignored');
    },
  });
}

/** Whether the bus still holds a desired state for the container. */
export async function isDesired(connection: NatsConnection, host: string, containerId: string): Promise<boolean> {
  return (
    (await readStored(connection, STREAMS.desired.name, { subject: desiredContainer(host, containerId) })) !== undefined
  );
}

/** Generation of an invalid config when it can be read, for the report; else 1. */
function generationIn(body: Uint8Array): number {
  const found = /"generation"\s*:\s*(\d{1,9})\b/.exec(Buffer.from(body.subarray(0, 64 * 1024)).toString('latin1'))?.[1];
  return Math.max(1, Number(found ?? 1));
}
