/** The two sockets of the resolver at one address, and what is read from and written to them. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import { FairPlaces, type Occupant } from './fair-places.js';
import { FramedMessages, framed } from './framing.js';

/** Linux gives what its net.core.rmem_max permits. */
const RECEIVE_BYTES = 4 << 20;
const CONNECTIONS = 256;
const CONNECTIONS_PER_ASKER = 8;
/** Without a query. */
const IDLE_MS = 10_000;
/** Queries of one connection that are being answered. */
const PENDING_PER_CONNECTION = 16;
/** Replies that wait for the asker to read them. */
const UNREAD_BYTES = 1 << 18;

export interface Sockets {
  readonly udp: UdpSocket;
  readonly tcp: Server;
}

/** Answers at most once; later calls have no effect. */
export type Respond = (reply: Buffer | undefined) => void;
export type OnQuery = (bytes: Buffer, address: string, transport: 'udp' | 'tcp', respond: Respond) => void;

/** @throws NodeJS.ErrnoException EADDRINUSE, EADDRNOTAVAIL, … */
export async function openSockets(address: string, port: number): Promise<Sockets> {
  const udp = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', ipv6Only: isIPv6(address), reuseAddr: false });
  const tcp = createServer();
  try {
    const bound = once(udp, 'listening');
    udp.bind({ address, port, exclusive: true });
    await bound;
    const listening = once(tcp, 'listening');
    tcp.listen({ host: address, port, backlog: 128, ipv6Only: isIPv6(address) });
    await listening;
  } catch (error) {
    udp.close();
    tcp.close();
    throw error;
  }
  return { udp, tcp };
}

/** Reads queries until it is stopped. */
export class QuerySource {
  private readonly places = new FairPlaces(CONNECTIONS, CONNECTIONS_PER_ASKER);
  private readonly connections = new Set<Socket>();
  /** Replies that are not with the kernel yet. */
  private sending = 0;
  private isClosed = false;
  private relay: ((reply: Buffer, port: number, address: string) => void) | undefined;

  /**
   * @param groupOf the tenant of an asker; undefined: it is no asker of ours
   * @param failed a socket has failed: nothing is read from it any more
   */
  constructor(
    private readonly sockets: Sockets,
    private readonly onQuery: OnQuery,
    private readonly groupOf: (address: string) => string | undefined,
    failed: (error: Error) => void,
  ) {
    const { udp, tcp } = sockets;
    try {
      udp.setRecvBufferSize(RECEIVE_BYTES);
    } catch {
      // The kernel's own size will do.
    }
    udp.on('error', failed);
    tcp.on('error', failed);
    udp.on('message', (bytes, { address, port }) =>
      this.onQuery(bytes, address, 'udp', (reply) => reply && this.send(reply, port, address)),
    );
    tcp.on('connection', (socket) => this.serve(socket));
  }

  get handles(): Sockets {
    return this.sockets;
  }

  /** Replies and connections that are still to be ended. */
  get unfinished(): number {
    return this.sending + this.connections.size;
  }

  send(reply: Buffer, port: number, address: string): void {
    if (this.relay) {
      this.relay(reply, port, address);
      return;
    }
    this.sending += 1;
    // A reply that can't be sent is lost, as any packet may be.
    this.sockets.udp.send(reply, port, address, () => {
      this.sending -= 1;
      this.closeWhenSent();
    });
  }

  /** Reads no more; replies of queries in progress go out by the process that reads now. */
  handOver(relay: (reply: Buffer, port: number, address: string) => void): void {
    this.relay = relay;
    this.sockets.tcp.close();
    this.closeWhenSent();
  }

  /** Of replies to queries that were read together all but the first wait for a turn of the loop; a close drops them. */
  private closeWhenSent(): void {
    if (!this.relay || this.sending > 0 || this.isClosed) return;
    this.isClosed = true;
    this.sockets.udp.close();
  }

  private serve(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const group = this.groupOf(address);
    const occupant: Occupant = { group: group ?? '', asker: address, evict: () => socket.destroy() };
    if (group === undefined || !this.places.take(occupant)) {
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    this.connections.add(socket);
    const messages = new FramedMessages();
    let pending = 0;
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    // The asker has gone.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.connections.delete(socket);
      this.places.release(occupant);
    });
    socket.on('data', (data) => {
      for (const bytes of messages.add(data)) {
        pending += 1;
        this.onQuery(bytes, address, 'tcp', (reply) => {
          pending -= 1;
          if (socket.destroyed) return;
          // An asker that reads no replies does not make them pile up here.
          if (reply && socket.writableLength < UNREAD_BYTES) socket.write(framed(reply));
          else socket.destroy();
          if (pending < PENDING_PER_CONNECTION) socket.resume();
        });
      }
      if (pending >= PENDING_PER_CONNECTION) socket.pause();
    });
  }
}
