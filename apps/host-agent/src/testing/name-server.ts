/** For the integration tests: a name server that does what it is set to. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import dnsPacket from 'dns-packet';

/** Answers A queries with an address; one whose name begins with `long` by TCP only. */
export class NameServer {
  queries = 0;
  private constructor(
    private readonly udp: Socket,
    private readonly tcp: Server,
    public answer: string | undefined,
    public delayMs = 0,
  ) {}

  static async open(address: string, answer: string | undefined): Promise<NameServer> {
    const udp = createSocket('udp4');
    udp.bind(53, address);
    const tcp = createServer().listen(53, address);
    await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
    const server = new NameServer(udp, tcp, answer);
    udp.on('message', (bytes, from) => void server.answerUdp(bytes, from));
    tcp.on('connection', (socket) =>
      socket
        .on('error', () => undefined)
        .on('data', (bytes) => {
          const reply = server.reply(bytes.subarray(2), 40);
          const length = Buffer.alloc(2);
          length.writeUInt16BE(reply.length);
          socket.write(Buffer.concat([length, reply]));
        }),
    );
    return server;
  }

  close(): void {
    this.udp.close();
    this.tcp.close();
  }

  private async answerUdp(bytes: Buffer, { port, address }: RemoteInfo): Promise<void> {
    this.queries += 1;
    if (this.answer === undefined) return;
    if (this.delayMs > 0) await delay(this.delayMs);
    // One with another question, and one with another id: neither is the answer.
    const wrong = dnsPacket.encode({
      type: 'response',
      id: bytes.readUInt16BE(0),
      questions: [{ name: 'x', type: 'A' }],
    });
    this.udp.send(wrong, port, address);
    const reply = this.reply(bytes, 1);
    const other = Buffer.from(reply);
    other.writeUInt16BE(bytes.readUInt16BE(0) ^ 1, 0);
    this.udp.send(other, port, address);
    this.udp.send(reply, port, address);
  }

  private reply(bytes: Buffer, count: number): Buffer {
    const { id, questions = [], additionals } = dnsPacket.decode(bytes);
    const name = questions[0]?.name ?? '';
    const isCut = name.startsWith('long') && count === 1;
    const answers = Array.from({ length: isCut ? 0 : name.startsWith('long') ? count : 1 }, () => ({
      type: 'A' as const,
      name,
      ttl: 60,
      data: this.answer ?? '',
    }));
    const flags = isCut ? dnsPacket.TRUNCATED_RESPONSE : 0;
    return dnsPacket.encode({ type: 'response', id, flags, questions, answers, additionals });
  }
}
