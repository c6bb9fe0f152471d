/** What containers need for a network of their own. */
import { existsSync, readFileSync } from 'node:fs';
import { droppingForwardChains, HostNetwork, networkProblem, tunnelProblem } from '@plinth/host-network';
import { type Check, fail, ok, warn } from './check.js';

/** The agent's defaults. */
const POOLS = { PLINTH_ADDRESS_POOL: '10.64.0.0/10', PLINTH_ADDRESS_POOL6: 'fd00:706c:696e::/64' } as const;
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
    ...checkTunnel(environment),
    ...checkPools(environment),
    checkForwarding(),
    ...checkFirewalls(),
  ];
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
  const pool4 = environment['PLINTH_ADDRESS_POOL'] ?? POOLS.PLINTH_ADDRESS_POOL;
  const pool6 = environment['PLINTH_ADDRESS_POOL6'] ?? POOLS.PLINTH_ADDRESS_POOL6;
  const network = HostNetwork.open({ instance: '0000', pool4, pool6, nowMs: 0 });
  if (typeof network === 'string') return [];
  try {
    return [pool4, pool6].map((pool) => {
      const route = network.overlapWith(pool);
      return route === undefined
        ? ok('addresses', `${pool} is free`)
        : fail(
            'addresses',
            `${pool} overlaps the route to ${route}`,
            'set PLINTH_ADDRESS_POOL to a network that is free on every host',
          );
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [fail('addresses', error.message, 'set PLINTH_ADDRESS_POOL to a network such as 10.64.0.0/10')];
  } finally {
    network.close();
  }
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
