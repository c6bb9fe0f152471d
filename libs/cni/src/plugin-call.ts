/** What a plugin is given with one call: its environment and its standard input. Pure. */
import { type CniConfiguration, type CniPlugin, isAtLeast, type JsonObject } from './configuration.js';

export type CniCommand = 'ADD' | 'DEL' | 'CHECK';

/** One container in one network. */
export interface Attachment {
  readonly containerId: string;
  /** File of its network namespace; absent: it is gone, and nothing but its traces on the host are left. */
  readonly namespace?: string;
  readonly interface: string;
  /** By the names of capabilities. */
  readonly runtimeConfig: JsonObject;
}

/** The programs that plugins themselves start, such as iptables. */
const PROGRAM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** All of it: a plugin inherits nothing. */
export function pluginEnvironment(
  command: CniCommand,
  { containerId, namespace = '', interface: name }: Attachment,
  path: readonly string[],
): Record<string, string> {
  return {
    PATH: PROGRAM_PATH,
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: namespace,
    CNI_IFNAME: name,
    CNI_PATH: path.join(':'),
  };
}

export function versionEnvironment(path: readonly string[]): Record<string, string> {
  return { PATH: PROGRAM_PATH, CNI_COMMAND: 'VERSION', CNI_PATH: path.join(':') };
}

/** @param previous what the plugin before it has printed; with DEL and CHECK: the last one of the chain */
export function pluginInput(
  command: CniCommand,
  { name, cniVersion }: CniConfiguration,
  { config, capabilities }: CniPlugin,
  { runtimeConfig }: Attachment,
  previous: JsonObject | undefined,
): string {
  const { capabilities: _declared, prevResult: _stale, runtimeConfig: _given, ...rest } = config;
  const wanted = Object.entries(runtimeConfig).filter(([capability]) => capabilities.includes(capability));
  // Versions before 0.4.0 have no result with DEL.
  const result = command === 'DEL' && !isAtLeast(cniVersion, '0.4.0') ? undefined : previous;
  return JSON.stringify({
    ...rest,
    cniVersion,
    name,
    ...(wanted.length > 0 && { runtimeConfig: Object.fromEntries(wanted) }),
    ...(result !== undefined && { prevResult: result }),
  });
}
