/**
 * `/etc/hosts` and `/etc/resolv.conf` of a container whose addresses are known only after its mounts were made. Written
 * from outside before its first process is let go.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { NetworkResult } from '@plinth/cni';
import { hostsText } from '@plinth/container-runtime';
import { codeOf, isMissing } from '@plinth/host-os';
import { nameServers } from '@plinth/names';
import { resolverText } from '../domain/resolver-text.js';

/** What systemd-resolved itself asks, where the host's own file names its stub only. */
const RESOLVED = '/run/systemd/resolve/resolv.conf';
/** Nothing in the container answers there. */
const LOOPBACK = /^(?:127\.|::1$|0\.0\.0\.0$|::$)/;

export interface NamedNetwork {
  readonly hostname: string;
  readonly result: NetworkResult;
  /** The host's resolv.conf, for a network that names no servers. */
  readonly resolvConf: string;
}

/** @returns what could not be written, in words; undefined: all was */
export function writeNameFiles(pid: number, { hostname, result, resolvConf }: NamedNetwork): string | undefined {
  const { addresses, dns } = result;
  const servers = dns.nameServers.length > 0 ? dns.nameServers : hostServers(resolvConf);
  try {
    overwrite(`/proc/${pid}/root/etc/hosts`, hostsText(addresses.length > 0 ? addresses : ['127.0.1.1'], hostname));
    overwrite(`/proc/${pid}/root/etc/resolv.conf`, resolverText({ ...dns, nameServers: servers }));
    return undefined;
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return `its /etc/hosts and /etc/resolv.conf could not be written: ${error instanceof Error ? error.message : ''}`;
  }
}

function hostServers(resolvConf: string): readonly string[] {
  for (const path of [resolvConf, RESOLVED]) {
    const found = nameServers(readOptional(path), []).filter((address) => !LOOPBACK.test(address));
    if (found.length > 0) return found;
  }
  return [];
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

/** A custom mount script has run there before: a link would lead out of the container, and a FIFO would wait. */
function overwrite(path: string, text: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(file).isFile()) throw Object.assign(new Error(`${path} is no file`), { code: 'EINVAL' });
    ftruncateSync(file);
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
}
