/** The one way to NATS: waits for it at start, never gives up afterwards. */
import { connect, type ConnectionOptions, type NatsConnection } from 'nats';
import type { Logger } from '../logging.js';
import { type BusCredentials, loginOptions } from './credentials.js';
import { ensureStreams } from './streams.js';

export interface NatsOptions {
  readonly url: string;
  /** Shown in the server's monitoring. */
  readonly name: string;
  readonly logger?: Logger;
  readonly credentials?: BusCredentials;
}

export interface ServiceNatsOptions extends NatsOptions {
  /** A service that may not make streams leaves that to the provisioner. */
  readonly declareStreams?: boolean;
  /** Of each stream; absent: 1 for new ones, and others stay as they are. */
  readonly replicas?: number;
}

/**
 * Milliseconds. With one server there is nothing to change to, and a machine that is busy may take long to answer. In a
 * cluster a server that is cut off or stands still is left after two pings, and one that does not answer at once is
 * passed over.
 */
const ONE_SERVER = { pingInterval: 5_000, maxPingOut: 3, timeout: 15_000 };
const SEVERAL_SERVERS = { pingInterval: 2_000, maxPingOut: 2, timeout: 2_000 };

function connectionOptions(options: NatsOptions): ConnectionOptions {
  const servers = options.url.split(',').map((server) => server.trim());
  return {
    servers,
    name: options.name,
    ...loginOptions(options.credentials ?? {}),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    ...(servers.length > 1 ? SEVERAL_SERVERS : ONE_SERVER),
    noEcho: false,
  };
}

/** One try, for tools: rejects when the server can't be reached. */
export function connectNatsOnce(options: NatsOptions): Promise<NatsConnection> {
  return connect({ ...connectionOptions(options), reconnect: true, waitOnFirstConnect: false });
}

/** For services: waits until NATS answers and, unless the options exclude it, until the streams exist. */
export async function connectNats(options: ServiceNatsOptions): Promise<NatsConnection> {
  // A server that does not have the key yet (a reload is due) is tried again too.
  const connection = await connect({
    ...connectionOptions(options),
    waitOnFirstConnect: true,
    ignoreAuthErrorAbort: true,
    // The trace of each message that is published would be a twentieth of what the provisioner computes.
    noAsyncTraces: true,
  });
  const declares = options.declareStreams ?? true;
  void followStatus(connection, declares, options);
  if (declares) await declareStreams(connection, options);
  return connection;
}

async function declareStreams(
  connection: NatsConnection,
  { replicas, logger }: Pick<ServiceNatsOptions, 'replicas' | 'logger'>,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await ensureStreams(connection, replicas);
      return;
    } catch (error) {
      if (connection.isClosed()) throw error;
      logger?.warn({ err: error, attempt }, 'JetStream is not ready yet');
      await new Promise((resolve) => setTimeout(resolve, Math.min(250 * 2 ** attempt, 5_000)));
    }
  }
}

async function followStatus(
  connection: NatsConnection,
  declares: boolean,
  options: Pick<ServiceNatsOptions, 'replicas' | 'logger'>,
): Promise<void> {
  const { logger } = options;
  for await (const status of connection.status()) {
    if (status.type === 'disconnect' || status.type === 'error')
      logger?.warn({ status: status.type, data: String(status.data) }, 'NATS connection');
    else if (status.type === 'reconnect') {
      logger?.info({ server: String(status.data) }, 'NATS connected again');
      // The server may have come back without its store.
      if (declares)
        declareStreams(connection, options).catch((error: unknown) =>
          logger?.warn({ err: error }, 'streams not declared'),
        );
    }
  }
}
