/** Declares the streams; safe to run by every service at every start. */
import { LEAST_REPLICATED, runsReplicas, STREAMS } from '@plinth/contracts';
import {
  DiscardPolicy,
  type NatsConnection,
  nanos,
  NatsError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from 'nats';

const NOT_FOUND = 10_059;
const NAME_IN_USE = 10_058;

/**
 * How long a message id is remembered for de-duplication. A bus that is killed may forget for minutes what was
 * acknowledged, and a service that answers a message again does so under the same id.
 */
export const DUPLICATE_WINDOW_SECONDS = 600;

/** The server is too old for what was asked of it. */
export class BusVersionError extends Error {
  constructor(version: string, replicas: number) {
    super(
      `nats-server ${version} loses acknowledged messages with ${replicas} replicas: use ${LEAST_REPLICATED} or later, or one server`,
    );
    this.name = 'BusVersionError';
  }
}

function streamConfig(
  stream: (typeof STREAMS)[keyof typeof STREAMS],
  replicas: number,
): Partial<StreamConfig> & { name: string } {
  return {
    name: stream.name,
    subjects: [...stream.subjects],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: stream.lastValuePerSubject ? DiscardPolicy.New : DiscardPolicy.Old,
    max_age: nanos(stream.maxAgeSeconds * 1000),
    max_bytes: stream.maxBytes,
    max_msgs_per_subject: stream.lastValuePerSubject ? 1 : -1,
    duplicate_window: nanos(DUPLICATE_WINDOW_SECONDS * 1000),
    num_replicas: replicas,
    allow_direct: true,
  };
}

/**
 * @param replicas of each stream; absent: 1 for new ones, and others stay as they are
 * @throws BusVersionError when the server is too old for them
 */
export async function ensureStreams(connection: NatsConnection, replicas?: number): Promise<void> {
  const version = connection.info?.version ?? '0';
  if (replicas !== undefined && replicas > 1 && !runsReplicas(version)) throw new BusVersionError(version, replicas);
  const jsm = await connection.jetstreamManager();
  for (const stream of Object.values(STREAMS)) {
    const found = await jsm.streams.info(stream.name).catch((error: unknown) => {
      if (error instanceof NatsError && error.api_error?.err_code === NOT_FOUND) return undefined;
      throw error;
    });
    if (found) {
      // The stream was made by an earlier version, which had fewer kinds of events. What an operator has set otherwise
      // stays.
      const missing = stream.subjects.filter((subject) => !found.config.subjects.includes(subject));
      const others = replicas !== undefined && found.config.num_replicas !== replicas;
      if (missing.length > 0 || others)
        await jsm.streams.update(stream.name, {
          subjects: [...found.config.subjects, ...missing],
          ...(others ? { num_replicas: replicas } : {}),
        });
      continue;
    }
    await jsm.streams.add(streamConfig(stream, replicas ?? 1)).catch((error: unknown) => {
      // Another copy of the service was faster.
      if (error instanceof NatsError && error.api_error?.err_code === NAME_IN_USE) return;
      throw error;
    });
  }
}
