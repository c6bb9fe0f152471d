/** Whether this machine can have containers with a network: everything they need is tried, where nobody is. */
import { closeSync, openSync } from 'node:fs';
import { hardwareAddress as hardwareAddressOf } from './address.js';
import { networkNames } from './container-network.js';
import { setRate } from './netlink/qdisc-messages.js';
import { addAddress, listLinks, makePair, setLinkUp } from './netlink/route-messages.js';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink/netlink-socket.js';
import { inNewNetwork } from './network-namespace.js';
import { Nftables } from './nft/nftables.js';
import { tableText } from './nft/ruleset.js';
import { RemoteNetwork, TUNNEL_INTERFACE } from './remote/remote-network.js';

const LOOPBACK = 1;
const TRIED = { pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64' };

/** A chain of another program that may end the packets of containers. */
export interface ForwardPolicy {
  /** e.g. `ip filter FORWARD` */
  readonly chain: string;
}

/** Chains on the way through the host that drop what they do not know: no rule of ours can undo that. */
export function droppingForwardChains(): ForwardPolicy[] {
  const nft = Nftables.open();
  if (typeof nft === 'string') return [];
  try {
    const { nftables } = nft.listing('list chains') as {
      nftables: readonly { chain?: { family: string; table: string; name: string; hook?: string; policy?: string } }[];
    };
    return nftables.flatMap(({ chain }) =>
      chain?.hook === 'forward' && chain.policy === 'drop'
        ? [{ chain: `${chain.family} ${chain.table} ${chain.name}` }]
        : [],
    );
  } finally {
    nft.close();
  }
}

/** Whether the kernel has what containers of other hosts are reached by. @returns why not; undefined: it has */
export function tunnelProblem(): string | undefined {
  const remote = { mode: 'vxlan', address: '192.0.2.1', port: 8_473 } as const;
  const container = { ipv4: '10.64.0.1', ipv6: 'fd00:706c:696e::a40:1', tenant: 1, hostAddress: '192.0.2.2' };
  return problemWithRules((socket, nft) => {
    socket.ensure([setLinkUp(LOOPBACK), addAddress(LOOPBACK, remote.address)], 'give an address to lo');
    const network = new RemoteNetwork(socket, { ...remote, instance: '0000', ...TRIED });
    network.replace('', [container], () => {});
    network.settle();
    nft.run(tableText({ ...networkNames('0000'), ...TRIED, remote: { ...remote, interface: TUNNEL_INTERFACE } }, ''));
  });
}

/** Both ends are in this thread's network, and end with it. */
function makeTriedPair(socket: NetlinkSocket): void {
  const namespace = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const hardwareAddress = (end: 'host' | 'container'): Buffer => hardwareAddressOf('10.64.0.1', end);
    const peer = { name: 'tried1', hardwareAddress: hardwareAddress('container'), namespace };
    socket.change(
      makePair({ name: 'tried0', hardwareAddress: hardwareAddress('host'), peer }),
      'make a pair of interfaces (CONFIG_VETH)',
    );
  } finally {
    closeSync(namespace);
  }
}

/** @returns why not, in words; undefined: it can */
export function networkProblem(): string | undefined {
  return problemWithRules((socket, nft) => {
    socket.ask(listLinks(), 'list the interfaces');
    socket.ensure([addAddress(LOOPBACK, '169.254.1.1', 'link')], 'give an address to lo');
    makeTriedPair(socket);
    nft.run(tableText({ ...networkNames('0000'), ...TRIED }, ''));
  });
}

/** Why the bandwidth of containers can't be limited here; undefined: it can. */
export function bandwidthProblem(): string | undefined {
  return problemOf((socket) => {
    socket.change(setRate(LOOPBACK, 1_000_000), 'limit lo by a token bucket (CONFIG_NET_SCH_TBF)');
  });
}

function problemWithRules(attempt: (socket: NetlinkSocket, nft: Nftables) => void): string | undefined {
  return problemOf((socket) => {
    const nft = Nftables.open();
    if (typeof nft === 'string') return nft;
    try {
      attempt(socket, nft);
      return undefined;
    } finally {
      nft.close();
    }
  });
}

/** Tries it in a new network. @returns why it failed; undefined: it did not */
function problemOf(attempt: (socket: NetlinkSocket) => string | undefined | void): string | undefined {
  try {
    return inNewNetwork(() => {
      const socket = new NetlinkSocket(NETLINK_ROUTE);
      try {
        return attempt(socket) ?? undefined;
      } finally {
        socket.close();
      }
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
