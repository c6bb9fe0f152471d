/** A server of the bus on a machine of a lab, alone or of a cluster. */
import { join } from 'node:path';
import { serverConfig } from '@plinth/bus-access';
import { DATA } from '../machine-root.js';
import type { Machine } from '../machine.js';
import { accessRules } from './keys.js';
import { launch } from './launch.js';
import { BUS_PORT } from './services.js';

const ROUTE_PORT = 6222;
/** Of each server, for `plinth bus`. */
export const MONITOR_PORT = 8222;

export interface BusServerOptions {
  /** All servers; one: no cluster. */
  readonly servers: readonly Machine[];
  readonly routeSecret: string;
  /** See {@link makeKeys}. */
  readonly keys: string;
  readonly program: string;
}

/** Starts it on the store that it has. */
export async function startBusServer(machine: Machine, options: BusServerOptions): Promise<void> {
  const directory = join(DATA, 'nats');
  const cluster = {
    name: 'plinth',
    listen: `0.0.0.0:${ROUTE_PORT}`,
    routes: options.servers.map(({ address }) => `${address}:${ROUTE_PORT}`),
    login: { secret: options.routeSecret },
  };
  const config = serverConfig(
    {
      listen: `0.0.0.0:${BUS_PORT}`,
      storeDirectory: join(directory, 'jetstream'),
      name: machine.name,
      monitoring: `0.0.0.0:${MONITOR_PORT}`,
      ...(options.servers.length > 1 ? { cluster } : {}),
    },
    'nats-access.conf',
  );
  machine.writeFile(join(directory, 'nats-access.conf'), accessRules(options.keys));
  machine.writeFile(join(directory, 'nats-server.conf'), config, 0o600);
  await launch(machine, 'nats', [options.program, '-c', join(directory, 'nats-server.conf')], 'Server is ready');
}

export const busUrl = (servers: readonly Machine[]): string =>
  servers.map(({ address }) => `nats://${address}:${BUS_PORT}`).join(',');
