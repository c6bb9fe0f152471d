/** The network of CNI that an agent with these settings would give its containers. */
import { spawnSync } from 'node:child_process';
import { CNI_DIRECTORIES, CniNetwork } from '@plinth/cni';
import { type Check, fail, ok, warn } from './check.js';

const TIMEOUT_MS = 20_000;
/** Plugins that start iptables, and fail without it. */
const WITH_IPTABLES = ['portmap', 'firewall'];

/** Only where a network of CNI is set. */
export async function checkCni({
  PLINTH_CNI_CONFIG: file,
  PLINTH_CNI_PATH: path = CNI_DIRECTORIES,
}: NodeJS.ProcessEnv): Promise<Check[]> {
  if (file === undefined || process.platform !== 'linux') return [];
  const network = await CniNetwork.open(file, { path: path.split(':'), timeoutMs: TIMEOUT_MS, within: [] });
  if (!(network instanceof CniNetwork))
    return network.map((problem) => fail('cni', problem, 'agents do not start with it; docs/network.md, "CNI"'));
  const { name, cniVersion, plugins } = network.configuration;
  return [
    ok('cni', `${name}, version ${cniVersion}: ${plugins.map(({ type }) => type).join(', ')}`),
    ...unoffered(network, 'portMappings', 'published ports', 'portmap'),
    ...unoffered(network, 'bandwidth', 'a bandwidth', 'bandwidth'),
    ...checkIptables(network),
    warn(
      'names',
      "containers' names do not resolve in a network of CNI: its plugins promise no source address to know an asker by",
      'publish names by a service of that network: container.started and plinth inspect have each name and its addresses',
    ),
  ];
}

function unoffered(network: CniNetwork, capability: string, what: string, plugin: string): Check[] {
  if (network.offers(capability)) return [];
  return [
    warn(
      'cni',
      `containers with ${what} are not started`,
      `add {"type": "${plugin}", "capabilities": {"${capability}": true}} to the plugins`,
    ),
  ];
}

function checkIptables({ configuration: { plugins } }: CniNetwork): Check[] {
  const needing = plugins.find(({ type, config }) => WITH_IPTABLES.includes(type) || config['ipMasq'] === true);
  if (needing === undefined || spawnSync('iptables', ['--version'], { timeout: TIMEOUT_MS }).error === undefined)
    return [];
  return [fail('cni', `the plugin ${needing.type} needs iptables`, 'apt-get install --no-install-recommends iptables')];
}
