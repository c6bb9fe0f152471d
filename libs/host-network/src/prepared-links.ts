/**
 * Pairs of interfaces in networks that no container has yet: all of a pair that depends on no container is made before a
 * start. Each ends with its network, and with that of this process at the latest; the host's end has no alias until a
 * container gets it, so that it is nobody's.
 */
import { hardwareAddress } from './address.js';
import {
  type ContainerLink,
  makePreparedLink,
  removeLink,
  setUpPreparedLink,
  type PreparedLink,
} from './container-link.js';
import { usesIpv6 } from './kernel-settings.js';
import { inodeOf } from './network-namespace.js';
import { NetlinkError, type NetlinkSocket } from './netlink/netlink-socket.js';

/** More than are ready at a time: those of networks that have ended are forgotten. */
const MOST = 64;

export class PreparedLinks {
  /** By inode of the network. */
  private readonly ready = new Map<number, PreparedLink>();

  constructor(private readonly route: NetlinkSocket) {}

  /** @param name of the host's end @throws NetlinkError, NamespaceError */
  prepare(name: string, namespace: string, mtu: number | undefined): void {
    const made = makePreparedLink(this.route, name, namespace, mtu);
    this.ready.set(inodeOf(namespace), made);
    const [oldest] = this.ready.keys();
    if (this.ready.size > MOST && oldest !== undefined) this.ready.delete(oldest);
  }

  /** For a container; undefined: none is ready there, or it is not as it would be made now. @throws NamespaceError */
  take(namespace: string, mtu: number | undefined): PreparedLink | undefined {
    const inode = inodeOf(namespace);
    const found = this.ready.get(inode);
    if (found === undefined) return undefined;
    this.ready.delete(inode);
    if (found.mtu === mtu && found.ipv6 === usesIpv6()) return found;
    removeLink(this.route, found.interface);
    return undefined;
  }

  /**
   * Gives it to a container.
   * @returns false: it was gone, with a network before this one
   * @throws NetlinkError, NamespaceError; nothing of the pair is left
   */
  finish(prepared: PreparedLink, link: ContainerLink, namespace: string): boolean {
    try {
      setUpPreparedLink(this.route, prepared, link, namespace, hardwareAddress(link.ipv4, 'container'));
      return true;
    } catch (error) {
      removeLink(this.route, prepared.interface);
      if (error instanceof NetlinkError && error.code === 'ENODEV') return false;
      throw error;
    }
  }

  /** Takes them from the host. */
  clear(): void {
    for (const { interface: name } of this.ready.values()) removeLink(this.route, name);
    this.ready.clear();
  }
}
