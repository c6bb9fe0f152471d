/**
 * The table of one agent, as nft(8) reads it. Its chains are written once; a container only adds elements to its sets
 * and maps, so a packet costs the same with any number of containers. Pure.
 *
 * Marks are the numbers of tenants. The kernel forgets a mark when a packet leaves a network namespace, so no container
 * can bring one along.
 */
import { ANY_PREFIX, GATEWAY4, type NetworkNames } from '../container-network.js';

export interface RulesetOptions extends NetworkNames {
  /** Networks of all containers' addresses, of every host. */
  readonly pool4: string;
  readonly pool6: string;
}

/** Packets that were dropped, by why. */
export const DROP_COUNTERS = {
  /** The source address is not that of the container. */
  spoofed: 'spoofed',
  /** To a service of the host. */
  toHost: 'to_host',
  /** To another tenant, to a link-local address such as 169.254.169.254, or to a container that nothing leads to. */
  refused: 'refused',
  /** To what the container's egress policy does not permit. */
  egress: 'egress',
} as const;

/** Replaces the table with its elements, in one transaction. @param elements as changeText() makes them */
export function tableText({ table, prefix, pool4, pool6 }: RulesetOptions, elements: string): string {
  const own = `"${prefix}*"`;
  const any = `"${ANY_PREFIX}*"`;
  const { spoofed, toHost, refused, egress } = DROP_COUNTERS;
  return `
add table inet ${table}
delete table inet ${table}
table inet ${table} {
  comment "containers of one host agent; written by it again when it is changed"
${Object.values(DROP_COUNTERS)
  .map((name) => `  counter ${name} { }`)
  .join('\n')}
  map tenant4 { type ifname . ipv4_addr : mark; }
  map tenant6 { type ifname . ipv6_addr : mark; }
  set member4 { type mark . ipv4_addr; }
  set member6 { type mark . ipv6_addr; }
  map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
  map bound4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map bound6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
  set limited4 { type ipv4_addr; }
  set limited6 { type ipv6_addr; }
  set networks4 { type ipv4_addr . ipv4_addr; flags interval; }
  set networks6 { type ipv6_addr . ipv6_addr; flags interval; }
  set services4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags interval; }
  set services6 { type ipv6_addr . ipv6_addr . inet_proto . inet_service; flags interval; }

  # Between containers nothing is tracked: no connection of a container that is gone belongs to the next one.
  chain known4 {
    ip daddr ${pool4} notrack
    accept
  }
  chain known6 {
    ip6 daddr ${pool6} notrack
    accept
  }
  chain sources {
    type filter hook prerouting priority raw; policy accept;
    iifname != ${own} accept
    meta mark set iifname . ip saddr map @tenant4 goto known4
    meta mark set iifname . ip6 saddr map @tenant6 goto known6
    ip6 saddr { ::, fe80::/10 } ip6 daddr ff02::/16 drop
    counter name ${spoofed} drop
  }

  chain published {
    ip daddr 169.254.0.0/16 return
    ip6 daddr fe80::/10 return
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

  chain to_host {
    type filter hook input priority filter; policy accept;
    iifname != ${own} accept
    ct state established,related accept
    ip daddr ${GATEWAY4} meta l4proto { tcp, udp } th dport 53 accept
    ip daddr ${GATEWAY4} icmp type echo-request accept
    meta l4proto icmpv6 accept
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
  chain leaving {
    ip daddr 169.254.0.0/16 counter name ${refused} drop
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

export function removalText(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}
