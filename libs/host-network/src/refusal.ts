/** Errors that say what the kernel refused, or a process that is gone: they are reported and tried again. */
import { SystemCallError } from '@plinth/host-os';
import { NetlinkError } from './netlink/netlink-socket.js';
import { NamespaceError } from './network-namespace.js';
import { NftError } from './nft/nftables.js';
import { RemoteNetworkError } from './remote/remote-network.js';

export function isRefusal(error: unknown): error is Error {
  return (
    error instanceof NetlinkError ||
    error instanceof NftError ||
    error instanceof NamespaceError ||
    error instanceof RemoteNetworkError ||
    error instanceof SystemCallError
  );
}
