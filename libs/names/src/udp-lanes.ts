/**
 * Sockets to one name server, which queries share: opening one costs several times what a query does. Each lives for
 * some seconds and then gives way to one of another port, so that an answer that was not asked for has to guess the
 * port, the id and the question (RFC 5452).
 */
import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { isAnswer, withId } from './message.js';

const PORT = 53;
const LANES = 8;
const LIFE_MS = 5_000;
const PENDING_PER_LANE = 1_024;

interface Pending {
  readonly question: Buffer;
  readonly end: (answer?: Buffer) => void;
}

class Lane {
  private readonly socket: Socket;
  private readonly pending = new Map<number, Pending>();
  /** Until it is connected. */
  private waiting: (() => void)[] | undefined = [];
  private isOpen = true;
  private isOld = false;

  constructor(server: string) {
    this.socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
    // Refused, unreachable, or no address of this family: the next server is asked.
    this.socket.on('error', () => this.fail());
    this.socket.on('message', (bytes) => this.take(bytes));
    this.socket.on('connect', () => {
      for (const send of this.waiting ?? []) send();
      this.waiting = undefined;
    });
    // Connected: the kernel drops what comes from elsewhere, and reports a port that is closed. Without a callback, which
    // would be called with the error in place of the event.
    this.socket.connect(PORT, server);
    setTimeout(() => {
      this.isOld = true;
      this.closeWhenDone();
    }, LIFE_MS).unref();
  }

  get isUsable(): boolean {
    return this.isOpen && !this.isOld && this.pending.size < PENDING_PER_LANE;
  }

  /** @returns takes the query back */
  send(bytes: Buffer, question: Buffer, end: (answer?: Buffer) => void): () => void {
    let id = randomInt(0x10000);
    while (this.pending.has(id)) id = randomInt(0x10000);
    const entry: Pending = { question, end };
    this.pending.set(id, entry);
    const send = (): void => {
      if (this.isOpen) this.socket.send(withId(bytes, id), (error) => error && this.fail());
    };
    if (this.waiting) this.waiting.push(send);
    else send();
    return () => {
      if (this.pending.get(id) === entry) this.pending.delete(id);
      this.closeWhenDone();
    };
  }

  private take(bytes: Buffer): void {
    if (bytes.length < 2) return;
    const id = bytes.readUInt16BE(0);
    const entry = this.pending.get(id);
    if (!entry || !isAnswer(bytes, id, entry.question)) return;
    this.pending.delete(id);
    entry.end(bytes);
    this.closeWhenDone();
  }

  private fail(): void {
    const entries = [...this.pending.values()];
    this.pending.clear();
    this.isOld = true;
    this.closeWhenDone();
    for (const { end } of entries) end();
  }

  private closeWhenDone(): void {
    if (!this.isOld || !this.isOpen || this.pending.size > 0) return;
    this.isOpen = false;
    this.socket.close();
  }
}

export class UdpLanes {
  private readonly lanes: (Lane | undefined)[] = [];

  constructor(private readonly server: string) {}

  /** @returns undefined: no answer in time, or the signal has ended it */
  ask(bytes: Buffer, question: Buffer, patienceMs: number, signal: AbortSignal): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      const end = (answer?: Buffer): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        takeBack();
        resolve(answer && withId(answer, bytes.readUInt16BE(0)));
      };
      const aborted = (): void => end();
      const timer = setTimeout(end, patienceMs);
      signal.addEventListener('abort', aborted);
      const takeBack = this.lane().send(bytes, question, end);
    });
  }

  private lane(): Lane {
    const index = randomInt(LANES);
    const there = this.lanes[index];
    if (there?.isUsable === true) return there;
    return (this.lanes[index] = new Lane(this.server));
  }
}
