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
}

function connectionOptions(options: NatsOptions): ConnectionOptions {
  return {
    servers: options.url.split(',').map((server) => server.trim()),
    name: options.name,
    ...loginOptions(options.credentials ?? {}),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 5_000,
    maxPingOut: 3,
    timeout: 15_000,
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
  void followStatus(connection, declares, options.logger);
  if (declares) await declareStreams(connection, options.logger);
  return connection;
}

async function declareStreams(connection: NatsConnection, logger?: Logger): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await ensureStreams(connection);
      return;
    } catch (error) {
      if (connection.isClosed()) throw error;
      logger?.warn({ err: error, attempt }, 'JetStream is not ready yet');
      await new Promise((resolve) => setTimeout(resolve, Math.min(250 * 2 ** attempt, 5_000)));
    }
  }
}

async function followStatus(connection: NatsConnection, declares: boolean, logger?: Logger): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === 'disconnect' || status.type === 'error')
      logger?.warn({ status: status.type, data: String(status.data) }, 'NATS connection');
    else if (status.type === 'reconnect') {
      logger?.info({ server: String(status.data) }, 'NATS connected again');
      // The server may have come back without its store.
      if (declares)
        declareStreams(connection, logger).catch((error: unknown) =>
          logger?.warn({ err: error }, 'streams not declared'),
        );
    }
  }
}
