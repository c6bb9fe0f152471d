/** A datagram as a host's tunnel sends it, for tests: any tenant, any addresses. */
import { addressBytes } from '../address.js';

export interface Forged {
  /** Of the container that is to receive it: its host's hardware address in the tunnel. */
  readonly to: Buffer;
  /** Absent: the header has none. */
  readonly tenant?: number;
  readonly source: string;
  readonly destination: string;
  readonly text: string;
}

const VXLAN_ID = 28_780;

/** The payload of the outer datagram: VXLAN header with group policy, Ethernet, IPv4, UDP to port 80. */
export function forgedPacket({ to, tenant, source, destination, text }: Forged): Buffer {
  const header = Buffer.alloc(8);
  header[0] = tenant === undefined ? 0x08 : 0x88;
  header.writeUInt16BE(tenant ?? 0, 2);
  header.writeUInt32BE(VXLAN_ID << 8, 4);
  const ethernet = Buffer.concat([to, Buffer.from([0x0a, 1, 2, 3, 4, 5, 0x08, 0])]);
  const payload = Buffer.from(text);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(1111, 0);
  udp.writeUInt16BE(80, 2);
  udp.writeUInt16BE(8 + payload.length, 4);
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.writeUInt16BE(20 + udp.length + payload.length, 2);
  ip[8] = 64;
  ip[9] = 17;
  addressBytes(source).copy(ip, 12);
  addressBytes(destination).copy(ip, 16);
  ip.writeUInt16BE(checksum(ip), 10);
  return Buffer.concat([header, ethernet, ip, udp, payload]);
}

/** RFC 1071 */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
