/**
 * The table of one agent, as nft(8) reads it. Its chains are written once; a container only adds elements to its sets
 * and maps, so a packet costs the same with any number of containers. Pure.
 *
 * Marks are the numbers of tenants. The kernel forgets a mark when a packet leaves a network namespace, so no container
 * can bring one along.
 */
import { ANY_PREFIX, GATEWAY4, type NetworkNames, RESOLVER6 } from '../container-network.js';
import { setsText } from './sets.js';

export interface RulesetOptions extends NetworkNames {
  /** Networks of all containers' addresses, of every host. */
  readonly pool4: string;
  readonly pool6: string;
  /** How containers of other hosts are reached; absent: they are not. */
  readonly remote?: RemoteRules | undefined;
}

export type RemoteRules =
  /** @param port UDP, of the tunnel */
  { readonly mode: 'vxlan'; readonly interface: string; readonly port: number } | { readonly mode: 'routes' };

/** Packets that were dropped, by why. */
export const DROP_COUNTERS = {
  /** The source address is not that of the container. */
  spoofed: 'spoofed',
  /**
   * ARP, or a neighbour advertisement or redirect: a claim about who has an address. Both ends of a pair know each other
   * for ever, so no container has anything to ask or to answer.
   */
  claimed: 'claimed',
  /** A router advertisement of a container. */
  advertised: 'advertised',
  /** To a service of the host. */
  toHost: 'to_host',
  /** To another tenant, to a link-local address such as 169.254.169.254, or to a container that nothing leads to. */
  refused: 'refused',
  /** To what the egress policy of the container, or of its tenant, does not permit. */
  egress: 'egress',
  /** To an address of another host, or to its tunnel. */
  underlay: 'underlay',
  /** Out of the tunnel, or to it: from an unknown host, or from what is no container of the tenant that it claims. */
  tunnel: 'tunnel',
  /** Queries for names above what one container may ask. */
  queries: 'queries',
} as const;

/**
 * Filled by the kernel: the containers that ask for names, and their tenants. Each has a bucket of queries. What one
 * tenant may ask is a part of what the resolver answers on a machine that is busy with other work.
 */
export const BUCKETS = { askers: 'askers', askers6: 'askers6', tenants: 'asking_tenants' } as const;
const QUERIES = {
  container: 'limit rate over 300/second burst 600 packets',
  tenant: 'limit rate over 1500/second burst 3000 packets',
} as const;
const MOST_ASKERS = 65_535;

/** Replaces the table with its elements, in one transaction. @param elements as changeText() makes them */
export function tableText(options: RulesetOptions, elements: string): string {
  const { table, prefix, pool4, pool6 } = options;
  const own = `"${prefix}*"`;
  const any = `"${ANY_PREFIX}*"`;
  const { spoofed, claimed, advertised, toHost, refused, egress, underlay, queries } = DROP_COUNTERS;
  const remote = remoteRules(options);
  return `
add table inet ${table}
delete table inet ${table}
table inet ${table} {
  comment "containers of one host agent; written by it again when it is changed"
${Object.values(DROP_COUNTERS)
  .map((name) => `  counter ${name} { }`)
  .join('\n')}
${setsText()}
  set ${BUCKETS.askers} { type ipv4_addr; size ${MOST_ASKERS}; flags dynamic,timeout; timeout 10s; }
  set ${BUCKETS.askers6} { type ipv6_addr; size ${MOST_ASKERS}; flags dynamic,timeout; timeout 10s; }
  set ${BUCKETS.tenants} { type mark; size ${MOST_ASKERS}; flags dynamic,timeout; timeout 10s; }

  # Between containers nothing is tracked: no connection of a container that is gone belongs to the next one.
  chain known4 {
    ip daddr ${pool4} notrack
    # Nor are queries: one container could fill the table of connections with them.
    ip daddr ${GATEWAY4} udp dport 53 notrack
    accept
  }
  chain known6 {
    ip6 daddr ${pool6} notrack
    ip6 daddr ${RESOLVER6} udp dport 53 notrack
    accept
  }
${remote.chains}
  chain sources {
    type filter hook prerouting priority raw; policy accept;
${remote.arriving}
    # Of the host and its containers alone: IPv6 takes a packet for any address of the host on any link.
    iifname != { "lo", ${any} } ip6 daddr ${RESOLVER6} counter name ${toHost} drop
    iifname != ${own} accept
    icmpv6 type nd-router-advert counter name ${advertised} drop
    icmpv6 type { nd-neighbor-advert, nd-redirect } counter name ${claimed} drop
    meta mark set iifname . ip saddr map @tenant4 goto known4
    meta mark set iifname . ip6 saddr map @tenant6 goto known6
    ip6 saddr { ::, fe80::/10 } ip6 daddr ff02::/16 drop
    counter name ${spoofed} drop
  }

  chain answers {
    type filter hook output priority raw; policy accept;
    ip saddr ${GATEWAY4} udp sport 53 notrack
    ip daddr ${GATEWAY4} udp dport 53 notrack
    ip6 saddr ${RESOLVER6} udp sport 53 notrack
    ip6 daddr ${RESOLVER6} udp dport 53 notrack
  }

  chain published {
    ip daddr 169.254.0.0/16 return
    ip6 daddr { fe80::/10, ${RESOLVER6} } return
    dnat ip to ip daddr . meta l4proto . th dport map @bound4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound6
    dnat ip to meta l4proto . th dport map @ports4
    dnat ip6 to meta l4proto . th dport map @ports6
  }
  chain arriving {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump published
  }
  chain from_host {
    type nat hook output priority -100; policy accept;
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
    oifname "lo" fib daddr type local jump published
  }
  chain outward {
    type nat hook postrouting priority srcnat; policy accept;
    iifname ${own} oifname != ${any} masquerade
    # A container that calls a published port gets its answers from where it sent its packets to.
    iifname ${any} oifname ${own} ct status dnat masquerade
  }

  chain names {
    update @${BUCKETS.askers} { ip saddr ${QUERIES.container} } counter name ${queries} drop
    update @${BUCKETS.askers6} { ip6 saddr ${QUERIES.container} } counter name ${queries} drop
    update @${BUCKETS.tenants} { meta mark ${QUERIES.tenant} } counter name ${queries} drop
    accept
  }
  chain to_host {
    type filter hook input priority filter; policy accept;
    iifname != ${own} accept
    ip daddr ${GATEWAY4} udp dport 53 goto names
    ip6 daddr ${RESOLVER6} udp dport 53 goto names
    ct state established,related accept
    ip daddr ${GATEWAY4} tcp dport 53 goto names
    ip6 daddr ${RESOLVER6} tcp dport 53 goto names
    ip daddr ${GATEWAY4} icmp type echo-request accept
    ip6 daddr { fe80::/10, ${RESOLVER6} } meta l4proto icmpv6 accept
    counter name ${toHost} drop
  }

  chain listed4 {
    ip saddr . ip daddr @networks4 return
    ip saddr . ip daddr . meta l4proto . th dport @services4 return
    counter name ${egress} drop
  }
  chain listed6 {
    ip6 saddr . ip6 daddr @networks6 return
    ip6 saddr . ip6 daddr . meta l4proto . th dport @services6 return
    counter name ${egress} drop
  }
  chain tenant_listed {
    meta mark . ip daddr @tenant_networks4 return
    meta mark . ip daddr . meta l4proto . th dport @tenant_services4 return
    meta mark . ip6 daddr @tenant_networks6 return
    meta mark . ip6 daddr . meta l4proto . th dport @tenant_services6 return
    counter name ${egress} drop
  }
  chain leaving {
    ip daddr 169.254.0.0/16 counter name ${refused} drop
    ip daddr @hosts4 counter name ${underlay} drop
    ip6 daddr @hosts6 counter name ${underlay} drop
${remote.leaving}
    # Both have to permit it: what the tenant may reach, and what the container may.
    meta mark @limited_tenants jump tenant_listed
    ip saddr @limited4 jump listed4
    ip6 saddr @limited6 jump listed6
  }
  chain between {
    ct status dnat ct state established,related accept
    ct status dnat iifname ${own} jump leaving
    ct status dnat accept
    # The table of the other agent on this machine decides.
    oifname != ${own} accept
    counter name ${refused} drop
  }
  chain through {
    type filter hook forward priority filter; policy accept;
${remote.through}
    iifname != ${own} oifname != ${own} accept
    iifname ${any} oifname ${own} meta mark . ip daddr @member4 accept
    iifname ${any} oifname ${own} meta mark . ip6 daddr @member6 accept
    iifname ${any} oifname ${any} goto between
    ct state established,related accept
    iifname ${own} ip daddr ${pool4} counter name ${refused} drop
    iifname ${own} ip6 daddr ${pool6} counter name ${refused} drop
    iifname ${own} jump leaving
    # Other software has its own meaning of marks.
    iifname ${own} meta mark set 0 accept
    ct status dnat accept
    counter name ${refused} drop
  }
}
${elements}
`;
}

interface RemoteText {
  readonly chains: string;
  /** In prerouting, before connections are tracked. */
  readonly arriving: string;
  /** Of what a container sends outward. */
  readonly leaving: string;
  /** In forward, before everything else. */
  readonly through: string;
}

function remoteRules({ prefix, pool4, pool6, remote }: RulesetOptions): RemoteText {
  const own = `"${prefix}*"`;
  const any = `"${ANY_PREFIX}*"`;
  const { tunnel, refused, underlay } = DROP_COUNTERS;
  if (remote === undefined) return { chains: '', arriving: '', leaving: '', through: '' };
  if (remote.mode === 'routes')
    return {
      chains: '',
      // The tenant follows from the address: every machine on the link of the hosts is trusted with it.
      arriving: `
    iifname != ${any} meta mark set ip saddr map @tenants4 goto known4
    iifname != ${any} meta mark set ip6 saddr map @tenants6 goto known6`,
      leaving: '',
      through: `
    iifname != ${any} oifname ${own} meta mark . ip saddr @remote4 meta mark . ip daddr @member4 accept
    iifname != ${any} oifname ${own} meta mark . ip6 saddr @remote6 meta mark . ip6 daddr @member6 accept
    iifname ${own} oifname != ${any} meta mark . ip daddr @remote4 meta mark set 0 accept
    iifname ${own} oifname != ${any} meta mark . ip6 daddr @remote6 meta mark set 0 accept`,
    };
  const link = `"${remote.interface}"`;
  const { port } = remote;
  return {
    chains: `
  # The mark is that of the sender's host: its tenant. Only a known container of that tenant gets through.
  chain tunnelled {
    ip saddr ${pool4} ip daddr ${pool4} notrack accept
    ip6 saddr ${pool6} ip6 daddr ${pool6} notrack accept
    counter name ${tunnel} drop
  }
  chain to_tunnel {
    fib daddr type != local return
    ip saddr @hosts4 notrack accept
    ip6 saddr @hosts6 notrack accept
    counter name ${tunnel} drop
  }
  chain from_tunnel {
    meta mark . ip saddr @remote4 meta mark . ip daddr @member4 accept
    meta mark . ip6 saddr @remote6 meta mark . ip6 daddr @member6 accept
    counter name ${tunnel} drop
  }
  chain encapsulated {
    type filter hook output priority raw; policy accept;
    udp dport ${port} notrack
  }`,
    arriving: `
    iifname ${link} goto tunnelled
    iifname != ${any} udp dport ${port} jump to_tunnel`,
    leaving: `
    udp dport ${port} counter name ${underlay} drop`,
    through: `
    iifname ${link} goto from_tunnel
    iifname ${own} oifname ${link} meta mark . ip daddr @remote4 accept
    iifname ${own} oifname ${link} meta mark . ip6 daddr @remote6 accept
    oifname ${link} counter name ${refused} drop`,
  };
}

/**
 * What containers say by ARP, dropped before the host learns of it: also requests, whose senders would fill the host's
 * table of neighbours. In the same transaction as {@link tableText}.
 */
export function arpTableText({ table, prefix }: NetworkNames): string {
  const { claimed } = DROP_COUNTERS;
  return `
add table arp ${table}
delete table arp ${table}
table arp ${table} {
  comment "ARP of containers of one host agent"
  counter ${claimed} { }
  chain arriving {
    type filter hook input priority filter; policy accept;
    iifname "${prefix}*" counter name ${claimed} drop
  }
}
`;
}

/** Made and taken away in one transaction: whether this kernel has rules for ARP. */
export function arpProbeText(table: string): string {
  return `add table arp ${table}_probe
add chain arp ${table}_probe arriving { type filter hook input priority filter; policy accept; }
delete table arp ${table}_probe
`;
}

export function removalText(table: string, family: 'inet' | 'arp' = 'inet'): string {
  return `add table ${family} ${table}\ndelete table ${family} ${table}\n`;
}
