/** Opens the network that this host's containers get, and ends what one that they had before has left. */
import { CniNetwork } from '@plinth/cni';
import type { OciRuntime } from '@plinth/container-runtime';
import { overlappingPools } from '@plinth/host-network';
import { readBootId } from '@plinth/host-os';
import { ConfigError, type Logger } from '@plinth/service-kit';
import type { HostAgentConfig } from '../config.js';
import { CniAttachments, cniOptions } from './cni-attachments.js';
import { CniNetworks, removeAttachments } from './cni-networks.js';
import { ContainerNames } from './container-names.js';
import { ContainerNetworks, type NetworkOptions } from './container-networks.js';
import { defaultAddress } from './host-address.js';
import type { Networks } from './networks.js';

const UNDO = 'end them first (host-agent --remove-all), or';

/**
 * @param cniDirectory of files about containers in a network of CNI
 * @param resolver file of its program
 * @throws ConfigError
 */
export async function openNetworks(
  config: HostAgentConfig,
  runtime: OciRuntime,
  cniDirectory: string,
  resolver: string,
  logger: Logger,
): Promise<Networks> {
  const attachments = openAttachments(config, runtime, cniDirectory);
  const running = runtime.list().flatMap(({ id, state }) => (state === 'running' ? [id] : []));
  if (config.PLINTH_CNI_CONFIG !== undefined)
    return openCni(config, config.PLINTH_CNI_CONFIG, runtime, attachments, running.length > 0, resolver, logger);
  const connected = attachments.ids.filter((id) => running.includes(id));
  if (connected.length > 0)
    throw new ConfigError([
      `PLINTH_CNI_CONFIG is not set, and ${connected.length} containers here have a network of CNI: ${UNDO} set it`,
    ]);
  await removeAttachments(attachments, cniTimeoutMs(config)).catch((error: unknown) => {
    if (!(error instanceof AggregateError)) throw error;
    throw new ConfigError([`PLINTH_CNI_CONFIG is not set, and ${error.message}`]);
  });
  const own = openOwn(config, runtime, resolver, await tunnelOptions(config, logger), logger);
  const overlaps = own.problem === undefined ? overlappingPools(config).map(({ message }) => message) : [];
  if (overlaps.length === 0) return own;
  if (running.length === 0) throw new ConfigError(overlaps);
  // The host got that route while containers run: they go on, and need their agent.
  logger.error({ overlaps }, 'the network of the containers overlaps what this host has got meanwhile');
  return own;
}

/** Each removes what is left of all containers, whichever network the agent has by its settings. */
export function networkRemovers(
  config: HostAgentConfig,
  runtime: OciRuntime,
  cniDirectory: string,
  resolver: string,
  logger: Logger,
): readonly Pick<Networks, 'removeAll'>[] {
  const attachments = openAttachments(config, runtime, cniDirectory);
  return [
    openOwn(config, runtime, resolver, undefined, logger),
    { removeAll: () => removeAttachments(attachments, cniTimeoutMs(config)) },
  ];
}

async function openCni(
  config: HostAgentConfig,
  file: string,
  runtime: OciRuntime,
  attachments: CniAttachments,
  isAnyRunning: boolean,
  resolver: string,
  logger: Logger,
): Promise<CniNetworks> {
  const path = config.PLINTH_CNI_PATH.split(':');
  const timeoutMs = cniTimeoutMs(config);
  const network = await CniNetwork.open(file, cniOptions(path, timeoutMs));
  if (!(network instanceof CniNetwork))
    throw new ConfigError(network.map((problem) => `PLINTH_CNI_CONFIG: ${problem}`));
  const own = openOwn(config, runtime, resolver, undefined, logger);
  if (isAnyRunning && own.hasInterfaces)
    throw new ConfigError([
      `PLINTH_CNI_CONFIG is set, and containers here have the network without it: ${UNDO} leave it out`,
    ]);
  // Rules of containers that have ended.
  await own.removeAll();
  own.close();
  const { name, cniVersion, plugins } = network.configuration;
  logger.info({ name, cniVersion, plugins: plugins.map(({ type }) => type) }, 'containers get a network of CNI');
  const { PLINTH_ADDRESS_POOL: pool, PLINTH_RESOLV_CONF: resolvConf } = config;
  return new CniNetworks(network, attachments, { path, timeoutMs, pool, resolvConf }, logger);
}

function openAttachments(config: HostAgentConfig, { instance }: OciRuntime, directory: string): CniAttachments {
  return new CniAttachments({ directory, instance, bootId: readBootId(), timeoutMs: cniTimeoutMs(config) });
}

function cniTimeoutMs(config: HostAgentConfig): number {
  return config.PLINTH_CNI_TIMEOUT_SECONDS * 1000;
}

function openOwn(
  config: HostAgentConfig,
  { instance }: OciRuntime,
  resolver: string,
  remote: NetworkOptions['remote'],
  logger: Logger,
): ContainerNetworks {
  const { PLINTH_ADDRESS_POOL: pool4, PLINTH_ADDRESS_POOL6: pool6 } = config;
  const names = new ContainerNames(
    {
      host: config.PLINTH_HOST,
      instance,
      domain: config.PLINTH_DOMAIN,
      pools: [pool4, pool6],
      resolvConf: config.PLINTH_RESOLV_CONF,
      program: resolver,
    },
    logger,
  );
  return ContainerNetworks.open({ instance, pool4, pool6, remote }, names, logger);
}

/** How containers of other hosts are reached; undefined: they are not. */
async function tunnelOptions(config: HostAgentConfig, logger: Logger): Promise<NetworkOptions['remote']> {
  const { PLINTH_NETWORK_TUNNEL: mode, PLINTH_NETWORK_TUNNEL_PORT: port } = config;
  if (mode === 'off') return undefined;
  const address = config.PLINTH_HOST_ADDRESS ?? (await defaultAddress());
  if (address !== undefined) return { mode, address, port };
  logger.warn('containers of other hosts are not reached: this host has no default route; set PLINTH_HOST_ADDRESS');
  return undefined;
}
