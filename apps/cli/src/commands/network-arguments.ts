/** Words about a container's network, as they are written on the command line. */
import {
  type EgressPolicy,
  type EgressRule,
  MAX_PORT,
  isPublishableAddress,
  parseIp,
  parseNetwork,
  type PortProtocol,
  portRangeProblem,
  type PortRequest,
} from '@plinth/contracts';
import { InvalidArgumentError } from 'commander';

export const PUBLISH_HELP =
  'make a port of the container reachable on its host, repeatable; see below for what can be left out';
export const EGRESS_HELP = 'what it may reach outside of its tenant: allow, none, or a network, repeatable; see below';

export const NETWORK_HELP = `
Ports and networks:
  --publish 80                  port 80 of the container, on a port of the host that is given out
  --publish 8080:80             on port 8080 of the host; a host where another container has it is not chosen
  --publish 192.0.2.1:8080:80   on this address of the host only; IPv6 in brackets: [2001:db8::1]:8080:80
  --publish 192.0.2.1:80        on this address, on a port that is given out
  --publish 5353:53/udp         UDP instead of TCP
  --egress none                 nothing but what it is asked by others
  --egress 10.0.0.0/8           this network only; repeat it for more than one
  --egress 192.0.2.7:443,8000-8100/tcp      these ports there only; IPv6: [2001:db8::/32]:443
They need the network container, which is the default where the host offers it.`;

const PUBLISH_FORMS = 'a port is published as 80, 8080:80 or 192.0.2.1:8080:80, each also with /udp behind it';
const EGRESS_FORMS = 'egress is allow, none, or a network such as 10.0.0.0/8, 192.0.2.7:443/tcp or [2001:db8::/32]:443';

/** Collects `[host:]port[:container][/udp]`. @param before the ports of the options before it */
export function parsePublish(text: string, before: readonly PortRequest[] = []): PortRequest[] {
  const match = /^(?:(\[[^\]]*\]|[^:[\]/]*\.[^:[\]/]*):)?([^:./]*)(?::([^:./]*))?(?:\/([^/]*))?$/.exec(text);
  if (!match) throw new InvalidArgumentError(PUBLISH_FORMS);
  const [, address, one = '', other, protocol = 'tcp'] = match;
  if (!isProtocol(protocol)) throw new InvalidArgumentError(`a port is published with /tcp or /udp behind it`);
  const published: PortRequest = {
    container: portOf(other ?? one),
    ...(other !== undefined && { host: portOf(one) }),
    protocol,
    ...(address !== undefined && { address: addressOf(address) }),
  };
  return [...before, published];
}

function portOf(text: string): number {
  if (/^\d+-\d+$/.test(text))
    throw new InvalidArgumentError('ranges of ports are not published: repeat --publish for each port');
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > MAX_PORT)
    throw new InvalidArgumentError(`${PUBLISH_FORMS}; ports are numbers of 1 to ${MAX_PORT}`);
  return port;
}

function addressOf(text: string): string {
  const address = text.startsWith('[') ? text.slice(1, -1) : text;
  if (parseIp(address) === undefined)
    throw new InvalidArgumentError(`${address} is no address; IPv4 as 192.0.2.1, IPv6 in brackets as [2001:db8::1]`);
  if (!isPublishableAddress(address))
    throw new InvalidArgumentError(
      `ports are not reached at ${address}: they are published at addresses of the host that are neither loopback, ` +
        'link-local nor multicast',
    );
  return address;
}

/** Collects `allow`, `none` and `<network>[:ports][/protocol]`. @param before what the options before it say */
export function parseEgress(text: string, before?: EgressPolicy): EgressPolicy {
  const alone = text === 'allow' || text === 'none';
  if (before !== undefined && (alone || before.policy !== 'list'))
    throw new InvalidArgumentError('allow and none stand alone; networks can be repeated');
  if (alone) return { policy: text };
  return { policy: 'list', to: [...(before?.to ?? []), egressRule(text)] };
}

function egressRule(text: string): EgressRule {
  const bare = networkOf(text);
  if (bare !== undefined) return { network: bare };
  const match = /^(?:\[([^\]]*)\]|([\d.]+(?:\/\d+)?))(?::([^/:]*))?(?:\/([a-z]+))?$/.exec(text);
  const network = networkOf(match?.[1] ?? match?.[2] ?? '');
  if (!match || network === undefined)
    throw new InvalidArgumentError(`${EGRESS_FORMS}, without bits behind the prefix`);
  const ports = match[3]?.split(',');
  const problem = ports?.map(portRangeProblem).find((item) => item !== undefined);
  if (problem !== undefined) throw new InvalidArgumentError(`a port of --egress ${problem}; several with commas`);
  const protocol = match[4];
  if (protocol !== undefined && !isProtocol(protocol)) throw new InvalidArgumentError(EGRESS_FORMS);
  return { network, ...(protocol && { protocol }), ...(ports && { ports }) };
}

/** A network in CIDR form; a single address is a network of its own. */
function networkOf(text: string): string | undefined {
  if (parseNetwork(text)) return text;
  if (parseIp(text) === undefined) return undefined;
  return `${text}/${text.includes(':') ? 128 : 32}`;
}

function isProtocol(text: string): text is PortProtocol {
  return text === 'tcp' || text === 'udp';
}
