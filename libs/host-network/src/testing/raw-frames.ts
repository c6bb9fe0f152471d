/** Frames that a container without its filter could send: any source, any claim. For tests. */
import { bindCall, type BoundCall, lastErrno, SystemCallError } from '@plinth/host-os';
import { addressBytes, familyOf, hardwareAddress } from '../address.js';
import { GATEWAY4 } from '../container-network.js';
import { inNetworkOf } from '../network-namespace.js';

/** linux/if_ether.h, linux/if_packet.h, net/if.h */
const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_IP = 0x0800;
const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;
const PROTOCOL_UDP = 17;
const PROTOCOL_ICMP6 = 58;
const ALL_NODES = 'ff02::1';
const ROUTER_ADVERTISEMENT = 134;
const NEIGHBOUR_ADVERTISEMENT = 136;

interface Sender {
  /** IPv4 address of the container that sends: its hardware addresses follow from it. */
  readonly link: string;
}

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);

function frame({ link }: Sender, type: number, payload: Buffer): Buffer {
  return Buffer.concat([hardwareAddress(link, 'host'), hardwareAddress(link, 'container'), u16(type), payload]);
}

/** To port 80. */
export function udpFrame(sent: Sender & { readonly source: string; readonly destination: string }): Buffer {
  const udp = Buffer.concat([u16(1111), u16(80), u16(8 + 5), u16(0), Buffer.from('hello')]);
  if (familyOf(sent.destination) === 6)
    return frame(
      sent,
      ETH_P_IPV6,
      ipv6(sent.source, sent.destination, PROTOCOL_UDP, withChecksum(sent, udp, PROTOCOL_UDP, 6)),
    );
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.writeUInt16BE(20 + udp.length, 2);
  ip[8] = 64;
  ip[9] = PROTOCOL_UDP;
  addressBytes(sent.source).copy(ip, 12);
  addressBytes(sent.destination).copy(ip, 16);
  ip.writeUInt16BE(checksum(ip), 10);
  return frame(sent, ETH_P_IP, Buffer.concat([ip, udp]));
}

/** `claimed` is at the hardware address of the sender. A request asks for the gateway. */
export function arpFrame(
  sent: Sender & { readonly claimed: string; readonly operation: 'answer' | 'announcement' | 'request' },
): Buffer {
  const own = hardwareAddress(sent.link, 'container');
  const target = { answer: sent.link, announcement: sent.claimed, request: GATEWAY4 }[sent.operation];
  const arp = Buffer.concat([
    Buffer.from([0, 1, 8, 0, 6, 4]),
    u16(sent.operation === 'answer' ? 2 : 1),
    own,
    addressBytes(sent.claimed),
    hardwareAddress(sent.link, 'host'),
    addressBytes(target),
  ]);
  return frame(sent, ETH_P_ARP, arp);
}

/** RFC 4861, 4.4: with the flags "solicited" and "override". */
export function neighbourFrame(sent: Sender & { readonly source: string; readonly claimed: string }): Buffer {
  const message = Buffer.concat([
    Buffer.from([NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0x60, 0, 0, 0]),
    addressBytes(sent.claimed),
    Buffer.from([2, 1]),
    hardwareAddress(sent.link, 'container'),
  ]);
  return icmp6(sent, message);
}

/** RFC 4861, 4.2: a default router for half an hour. */
export function advertisementFrame(sent: Sender & { readonly source: string }): Buffer {
  return icmp6(sent, Buffer.from([ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0]));
}

function icmp6(sent: Sender & { readonly source: string }, message: Buffer): Buffer {
  const whole = withChecksum({ source: sent.source, destination: ALL_NODES }, message, PROTOCOL_ICMP6, 2);
  return frame(sent, ETH_P_IPV6, ipv6(sent.source, ALL_NODES, PROTOCOL_ICMP6, whole, 255));
}

function ipv6(source: string, destination: string, next: number, payload: Buffer, hops = 64): Buffer {
  return Buffer.concat([
    Buffer.from([0x60, 0, 0, 0]),
    u16(payload.length),
    Buffer.from([next, hops]),
    addressBytes(source),
    addressBytes(destination),
    payload,
  ]);
}

function withChecksum(
  { source, destination }: { readonly source: string; readonly destination: string },
  message: Buffer,
  next: number,
  at: number,
): Buffer {
  const pseudo = Buffer.concat([
    addressBytes(source),
    addressBytes(destination),
    u16(0),
    u16(message.length),
    Buffer.from([0, 0, 0, next]),
  ]);
  const even = message.length % 2 === 0 ? message : Buffer.concat([message, Buffer.alloc(1)]);
  const whole = Buffer.from(message);
  whole.writeUInt16BE(checksum(Buffer.concat([pseudo, even])) || 0xffff, at);
  return whole;
}

/** RFC 1071 */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

let calls: Readonly<Record<'socket' | 'index' | 'sendto' | 'close', BoundCall>> | undefined;

/** From `eth0` of a container. @param pid of a process in its network @throws SystemCallError */
export function sendFrames(pid: number, sent: Buffer, times: number): void {
  calls ??= {
    socket: bindCall('int socket(int domain, int type, int protocol)'),
    index: bindCall('unsigned int if_nametoindex(const char *name)'),
    sendto: bindCall(
      'long sendto(int fd, const void *bytes, unsigned long length, int flags, const void *to, unsigned int size)',
    ),
    close: bindCall('int close(int fd)'),
  };
  const { socket, index, sendto, close } = calls;
  inNetworkOf(pid, () => {
    const fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0) throw new SystemCallError('socket', lastErrno(), 'for packets');
    const to = Buffer.alloc(20);
    to.writeUInt16LE(AF_PACKET, 0);
    to.writeInt32LE(index('eth0'), 4);
    try {
      for (let count = 0; count < times; count += 1)
        if (sendto(fd, sent, sent.length, 0, to, to.length) !== sent.length)
          throw new SystemCallError('sendto', lastErrno(), 'on packets');
    } finally {
      close(fd);
    }
  });
}
