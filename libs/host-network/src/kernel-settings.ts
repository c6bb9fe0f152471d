/** Settings below /proc/sys/net, of the network namespace that the calling thread is in. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';

const NET = '/proc/sys/net';

let isIpv6There = false;

/**
 * Whether this kernel has IPv6, which it does not lose. Asked of the file system until it has: the kernel keeps an entry
 * of that path for each network namespace in one list, so a look takes longer with each container.
 */
export function hasIpv6(): boolean {
  isIpv6There ||= existsSync(`${NET}/ipv6`);
  return isIpv6There;
}

let isIpv6On: boolean | undefined;

/**
 * Whether new interfaces of this host have IPv6, as {@link lookAtIpv6} saw it last: where it is switched off the kernel
 * refuses their addresses and routes with EACCES (ip-sysctl.rst, disable_ipv6).
 */
export function usesIpv6(): boolean {
  return isIpv6On ?? lookAtIpv6();
}

/** Reads the setting again: it may be changed at any time. */
export function lookAtIpv6(): boolean {
  return (isIpv6On = hasIpv6() && readSetting('ipv6/conf/default/disable_ipv6') !== '1');
}

/** undefined: this kernel has no such setting, or the interface is gone. */
export function readSetting(name: string): string | undefined {
  try {
    return readFileSync(`${NET}/${name}`, 'utf8').trim();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return undefined;
    throw error;
  }
}

function writeSetting(name: string, value: string): void {
  writeFileSync(`${NET}/${name}`, value);
}

/**
 * Has the host pass packets on between its interfaces.
 * @returns what was changed, such as `net.ipv4.ip_forward = 1`
 */
export function enableForwarding(): string[] {
  const changed: string[] = [];
  const set = (name: string, value: string): void => {
    writeSetting(name, value);
    changed.push(`net.${name.replaceAll('/', '.')} = ${value}`);
  };
  if (readSetting('ipv4/ip_forward') !== '1') set('ipv4/ip_forward', '1');
  if (hasIpv6() && readSetting('ipv6/conf/all/forwarding') !== '1') {
    // A router accepts no advertisements (ip-sysctl.rst, accept_ra), and a host that is configured by them would lose
    // its default route.
    for (const name of readdirSync(`${NET}/ipv6/conf`)) {
      const setting = `ipv6/conf/${name}/accept_ra`;
      if (name !== 'all' && name !== 'default' && readSetting(setting) === '1') set(setting, '2');
    }
    set('ipv6/conf/all/forwarding', '1');
  }
  return changed;
}

/** In a container's own network: its addresses and routes are those that it was given. */
export function settleContainer(link: string): void {
  if (hasIpv6()) writeSetting(`ipv6/conf/${link}/accept_ra`, '0');
}
