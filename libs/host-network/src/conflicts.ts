/** Why a container can't have what its config asks for: another one, or a program of the host, has it. */
import type { AttachedContainers } from './attached-containers.js';
import { type ContainerNetwork, portsOnlyIn } from './container-network.js';
import { listeningSockets, portInUse } from './listening-ports.js';
import type { AttachedNetwork } from './nft/elements.js';
import type { Nftables } from './nft/nftables.js';
import { publishedElsewhere } from './nft/other-agents.js';
import type { RuleTable } from './nft/rule-table.js';
import type { Attached } from './placed-containers.js';

/** @param known as it is attached now: its own ports are not in its way */
export function portConflict(
  nft: Nftables,
  table: RuleTable,
  container: ContainerNetwork,
  known: AttachedNetwork | undefined,
): string | undefined {
  const ports = known ? portsOnlyIn(container, known) : container.ports;
  if (ports.length === 0) return undefined;
  const port = portInUse(ports, listeningSockets(ports));
  if (port !== undefined)
    return (
      `a program of this host listens on port ${port.hostPort}/${port.protocol}, and would not be reached any more; ` +
      'publish another host port, or end that program'
    );
  const taken = publishedElsewhere(nft, table.otherAgents(), { ...container, ports });
  return (
    taken &&
    `port ${taken.hostPort}/${taken.protocol} is published by a container of another host agent on this machine; ` +
      'publish another host port'
  );
}

/** Of the containers of this agent. */
export function elementConflict(
  attached: AttachedContainers,
  network: AttachedNetwork,
): Extract<Attached, { ok: false }> | undefined {
  const taken = attached.takenBy(network);
  if (taken === undefined) return undefined;
  const { key, set } = taken.element;
  const reason = /^(?:ports|bound)/.test(set) ? 'port-taken' : 'network-failed';
  return { ok: false, reason, message: `${key} belongs to container ${taken.containerId} on this host` };
}
