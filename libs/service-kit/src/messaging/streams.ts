/** Declares the streams; safe to run by every service at every start. */
import { STREAMS } from '@plinth/contracts';
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

function streamConfig(stream: (typeof STREAMS)[keyof typeof STREAMS]): Partial<StreamConfig> & { name: string } {
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
    num_replicas: 1,
    allow_direct: true,
  };
}

export async function ensureStreams(connection: NatsConnection): Promise<void> {
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
      if (missing.length > 0)
        await jsm.streams.update(stream.name, { subjects: [...found.config.subjects, ...missing] });
      continue;
    }
    await jsm.streams.add(streamConfig(stream)).catch((error: unknown) => {
      // Another copy of the service was faster.
      if (error instanceof NatsError && error.api_error?.err_code === NAME_IN_USE) return;
      throw error;
    });
  }
}
