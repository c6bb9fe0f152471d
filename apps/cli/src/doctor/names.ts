/** What the names of containers need: a port for the resolver, and name servers for all other names. */
import { existsSync, readFileSync } from 'node:fs';
import { askStatus, nameServers, RESOLVER_ADDRESS, RESOLVER_PORT } from '@plinth/names';
import { type Check, ok, warn } from './check.js';

const RESOLV_CONF = '/etc/resolv.conf';
const ANSWER_MS = 1_000;
/** proc_net(5): bytes of an address in the order of this machine's memory; every address, by IPv4 and IPv6. */
const ANYWHERE = /^0+$/;
const LISTENING = '0A';

/** Only where containers have a network. */
export async function checkNames(environment: NodeJS.ProcessEnv): Promise<Check[]> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return [];
  return [await checkPort(), checkServers(environment['PLINTH_RESOLV_CONF'] ?? RESOLV_CONF)];
}

async function checkPort(): Promise<Check> {
  const place = `port ${RESOLVER_PORT} of ${RESOLVER_ADDRESS}`;
  const sockets = ['udp', 'udp6', 'tcp', 'tcp6'].flatMap((name) => {
    const path = `/proc/net/${name}`;
    return existsSync(path) ? listening(readFileSync(path, 'utf8'), name.startsWith('tcp')) : [];
  });
  if (sockets.some((address) => ANYWHERE.test(address)))
    return warn(
      'names',
      `another program has port ${RESOLVER_PORT} of every address`,
      `no names of containers are answered; have it listen on single addresses (dnsmasq: bind-interfaces, except-interface=lo)`,
    );
  if (!sockets.includes(addressWord(RESOLVER_ADDRESS))) return ok('names', `${place} is free`);
  const asked = await askStatus(ANSWER_MS);
  if (asked.kind === 'answered')
    return ok('names', `${asked.status.names} are answered by process ${asked.status.pid}`);
  return warn('names', `another program has ${place}, or the resolver hangs`, 'end it: ss -lnup sport = :53 shows it');
}

/** Addresses at which the port is taken, as /proc/net shows them. Pure. */
export function listening(text: string, isTcp: boolean): string[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    if (parseInt(port, 16) !== RESOLVER_PORT || (isTcp && state !== LISTENING)) return [];
    return [address];
  });
}

/** An IPv4 address as /proc/net shows it on a machine with the low byte first. Pure. */
export function addressWord(address: string): string {
  const bytes = address.split('.').reverse();
  return bytes
    .map((byte) => Number(byte).toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase();
}

function checkServers(path: string): Check {
  const servers = existsSync(path) ? nameServers(readFileSync(path, 'utf8'), [RESOLVER_ADDRESS]) : [];
  return servers.length > 0
    ? ok('name servers', servers.join(', '))
    : warn('name servers', `${path} names none`, 'containers find each other only; add a line: nameserver <address>');
}
