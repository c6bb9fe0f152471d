/** What containers need for a network of their own. */
import { existsSync, readFileSync } from 'node:fs';
import { ADDRESS_POOL, ADDRESS_POOL6, poolProblems } from '@plinth/contracts';
import { droppingForwardChains, networkProblem, overlappingPools, tunnelProblem, usesIpv6 } from '@plinth/host-network';
import { type Check, fail, ok, warn } from './check.js';

const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

export function checkNetwork(environment: NodeJS.ProcessEnv): Check[] {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return [];
  const problem = networkProblem();
  if (problem !== undefined) {
    return [
      warn(
        'network',
        problem,
        'containers here get a loopback only; apt-get install --no-install-recommends nftables, or a kernel with nf_tables and veth',
      ),
    ];
  }
  return [
    ok('network', 'interfaces, routes and rules can be made'),
    checkIpv6(),
    ...checkTunnel(environment),
    ...checkPools(environment),
    checkForwarding(),
    ...checkFirewalls(),
  ];
}

function checkIpv6(): Check {
  return usesIpv6()
    ? ok('ipv6', 'interfaces get it')
    : warn(
        'ipv6',
        'switched off on this host',
        'containers here get an IPv4 address only; sysctl net.ipv6.conf.default.disable_ipv6=0 gives those that start afterwards both',
      );
}

function checkTunnel({ PLINTH_NETWORK_TUNNEL: mode = 'vxlan' }: NodeJS.ProcessEnv): Check[] {
  if (mode !== 'vxlan') return [];
  const problem = tunnelProblem();
  if (problem === undefined) return [ok('tunnel', 'VXLAN with group policy can be made')];
  return [
    warn(
      'tunnel',
      problem,
      'containers here are not reached from other hosts; modprobe vxlan, or a kernel with CONFIG_VXLAN; ' +
        'hosts that share a link can do without it: PLINTH_NETWORK_TUNNEL=routes',
    ),
  ];
}

function checkPools(environment: NodeJS.ProcessEnv): Check[] {
  const pools = {
    PLINTH_ADDRESS_POOL: environment['PLINTH_ADDRESS_POOL'] ?? ADDRESS_POOL,
    PLINTH_ADDRESS_POOL6: environment['PLINTH_ADDRESS_POOL6'] ?? ADDRESS_POOL6,
  };
  const invalid = poolProblems(pools);
  if (invalid.length > 0) return invalid.map((problem) => fail('addresses', problem, 'agents do not start with it'));
  const overlaps = overlappingPools(pools);
  return Object.entries(pools).map(([variable, pool]) => {
    const found = overlaps.find((overlap) => overlap.variable === variable);
    return found ? fail('addresses', found.message, 'agents do not start with it') : ok('addresses', `${pool} is free`);
  });
}

function checkForwarding(): Check {
  const enabled = existsSync(FORWARDING) && readFileSync(FORWARDING, 'utf8').trim() === '1';
  return ok(
    'forwarding',
    enabled ? 'enabled' : 'disabled; an agent enables it for the first container with an address',
  );
}

function checkFirewalls(): Check[] {
  return droppingForwardChains().map(({ chain }) =>
    warn(
      'firewall',
      `the chain ${chain} drops what it does not know`,
      'let containers through in it: what comes in by, or goes out by, interfaces plc* ' +
        '(Docker: iptables -I DOCKER-USER -i plc+ -j ACCEPT; iptables -I DOCKER-USER -o plc+ -j ACCEPT)',
    ),
  );
}
