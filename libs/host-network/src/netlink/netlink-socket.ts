/** A netlink socket: requests and their answers, in the thread that calls. */
import { constants } from 'node:os';
import { bindCall, type BoundCall, errnoName, lastErrno, SystemCallError } from '@plinth/host-os';
import {
  decodeMessages,
  encodeMessage,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Received,
} from './message.js';

/** sys/socket.h, linux/netlink.h */
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const MSG_TRUNC = 0x20;
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
const RECEIVE_BYTES = 128 * 1024;
/** A number has 32 bits in a message. */
const SEQUENCE_RESTART = 2 ** 31;

/** The kernel refused a request. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  /** e.g. `EEXIST` */
  readonly code: string;
  constructor(
    readonly request: string,
    readonly errno: number,
  ) {
    super(`${errnoName(errno)}: the kernel refused to ${request}`);
    this.code = errnoName(errno);
  }
}

/** For all sockets: what was received is read before anything else is. */
const buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);

let bound: Readonly<Record<'socket' | 'send' | 'recv' | 'close', BoundCall>> | undefined;

function libc(): NonNullable<typeof bound> {
  bound ??= {
    socket: bindCall('int socket(int domain, int type, int protocol)'),
    send: bindCall('long send(int fd, const void *bytes, unsigned long length, int flags)'),
    recv: bindCall('long recv(int fd, void *bytes, unsigned long length, int flags)'),
    close: bindCall('int close(int fd)'),
  };
  return bound;
}

/** Belongs to the network namespace that this thread is in when it is opened, wherever it is used later. */
export class NetlinkSocket {
  private sequence = 0;
  private readonly fd: number;

  /** @throws SystemCallError */
  constructor(protocol: number) {
    this.fd = libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (this.fd < 0) throw new SystemCallError('socket', lastErrno(), 'for netlink');
  }

  /** Waits for the kernel's confirmation. @param what as in "the kernel refused to …" @throws NetlinkError */
  change(message: Message, what: string): void {
    this.exchange({ ...message, flags: message.flags | NLM_F_REQUEST | NLM_F_ACK }, what);
  }

  /**
   * Several changes in one call, in order; what is there already counts as made. A refused one does not keep the kernel
   * from those after it.
   * @param fine numbers of errors that count as made, too
   * @throws NetlinkError for the first that was refused
   */
  ensure(messages: readonly Message[], what: string, fine: readonly number[] = []): void {
    if (this.sequence > SEQUENCE_RESTART) this.sequence = 0;
    const first = this.sequence + 1;
    const each = messages.map((message, index) =>
      encodeMessage({ ...message, flags: message.flags | NLM_F_REQUEST | NLM_F_ACK }, first + index),
    );
    this.sequence += messages.length;
    this.send(Buffer.concat(each));
    let refused: number | undefined;
    for (let open = messages.length; open > 0;) {
      for (const { type, sequence, payload } of this.receive()) {
        if (sequence < first || sequence > this.sequence || type !== NLMSG_ERROR) continue;
        open -= 1;
        const errno = -payload.readInt32LE(0);
        if (errno !== 0 && errno !== constants.errno.EEXIST && !fine.includes(errno)) refused ??= errno;
      }
    }
    if (refused !== undefined) throw new NetlinkError(what, refused);
  }

  /**
   * One transaction of nfnetlink: all of it, or nothing. What is refused as a whole is answered for its begin.
   * @throws NetlinkError for the first that was refused
   */
  transact(begin: Message, messages: readonly Message[], end: Message, what: string): void {
    if (this.sequence > SEQUENCE_RESTART) this.sequence = 0;
    const first = this.sequence + 1;
    const each = [begin, ...messages, end].map((message, index) => {
      const confirmed = index > 0 && index <= messages.length ? NLM_F_ACK : 0;
      return encodeMessage({ ...message, flags: message.flags | NLM_F_REQUEST | confirmed }, first + index);
    });
    this.sequence += each.length;
    this.send(Buffer.concat(each));
    for (let open = messages.length; open > 0;) {
      for (const { type, sequence, payload } of this.receive()) {
        if (sequence < first || sequence > this.sequence || type !== NLMSG_ERROR) continue;
        open -= 1;
        const errno = -payload.readInt32LE(0);
        // The answers after it are left out by their numbers.
        if (errno !== 0) throw new NetlinkError(what, errno);
      }
    }
  }

  /** @returns the answer, or all of a list @throws NetlinkError */
  ask(message: Message, what: string): Received[] {
    // A list ends with a message of its own, a single answer with the confirmation.
    const flags = message.flags | NLM_F_REQUEST;
    return this.exchange({ ...message, flags: (flags & NLM_F_DUMP) === NLM_F_DUMP ? flags : flags | NLM_F_ACK }, what);
  }

  /**
   * As {@link ask}, in threads of the pool, for lists that take the kernel long. Nothing else is asked of this socket
   * meanwhile, and it is not closed.
   */
  async askLater(message: Message, what: string): Promise<Received[]> {
    const bytes = encodeMessage({ ...message, flags: message.flags | NLM_F_REQUEST }, ++this.sequence);
    await later((done) => libc().send.async(this.fd, bytes, bytes.length, 0, done), 'send');
    const own = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
    const answers: Received[] = [];
    for (;;) {
      const length = await later((done) => libc().recv.async(this.fd, own, own.length, MSG_TRUNC, done), 'recv');
      if (read(decodeMessages(own.subarray(0, length)), this.sequence, answers, what)) return answers;
    }
  }

  close(): void {
    libc().close(this.fd);
  }

  private exchange(message: Message, what: string): Received[] {
    if (this.sequence > SEQUENCE_RESTART) this.sequence = 0;
    this.sequence += 1;
    this.send(encodeMessage(message, this.sequence));
    const answers: Received[] = [];
    const isConfirmed = (message.flags & NLM_F_ACK) !== 0;
    for (;;) if (read(this.receive(), this.sequence, answers, what, isConfirmed)) return answers;
  }

  private send(bytes: Buffer): void {
    if (libc().send(this.fd, bytes, bytes.length, 0) !== bytes.length)
      throw new SystemCallError('send', lastErrno(), 'on netlink');
  }

  private receive(): Received[] {
    const length = libc().recv(this.fd, buffer, buffer.length, MSG_TRUNC);
    if (length < 0) throw new SystemCallError('recv', lastErrno(), 'on netlink');
    if (length > buffer.length) throw new RangeError(`a netlink datagram of ${length} bytes`);
    return decodeMessages(buffer.subarray(0, length));
  }
}

/**
 * Takes the answers to a request out of a datagram.
 * @param isConfirmed whether a single answer is followed by a confirmation
 * @returns whether these were the last ones @throws NetlinkError
 */
function read(
  datagram: readonly Received[],
  sequence: number,
  answers: Received[],
  what: string,
  isConfirmed = true,
): boolean {
  for (const received of datagram) {
    // An answer to a request that was given up.
    if (received.sequence !== sequence) continue;
    if (received.type === NLMSG_ERROR) {
      const errno = -received.payload.readInt32LE(0);
      if (errno !== 0) throw new NetlinkError(what, errno);
      return true;
    }
    if (received.type === NLMSG_DONE) {
      const errno = received.payload.length >= 4 ? -received.payload.readInt32LE(0) : 0;
      if (errno > 0) throw new NetlinkError(what, errno);
      return true;
    }
    // What it holds is overwritten by the next datagram.
    answers.push({ ...received, payload: Buffer.from(received.payload) });
    if (!isConfirmed && (received.flags & NLM_F_MULTI) === 0) return true;
  }
  return false;
}

/** @param call one that is done in a thread of the pool @throws SystemCallError */
function later(
  call: (done: (error: Error | null, result: number) => void) => void,
  name: 'send' | 'recv',
): Promise<number> {
  return new Promise((resolve, reject) => {
    call((error, result) => {
      if (error !== null) reject(error);
      else if (result < 0) reject(new SystemCallError(name, lastErrno(), 'on netlink'));
      else if (result > RECEIVE_BYTES) reject(new RangeError(`a netlink datagram of ${result} bytes`));
      else resolve(result);
    });
  });
}
