/** Asks the host's own resolvers for all names that are not ours. The bytes of query and answer go through as they are. */
import { randomInt } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { isAnswer, RCODE, rcodeOf, withId } from './message.js';
import { FramedMessages, framed } from './framing.js';
import { nameServers } from './name-servers.js';
import { UdpLanes } from './udp-lanes.js';

const PORT = 53;
/** The C library asks again after two seconds, as the containers' resolv.conf has it: a failure is reported before. */
const UDP_BUDGET_MS = 1_800;
const LEAST_TRIES = 2;
const TCP_PATIENCE_MS = 5_000;
/** How old the knowledge of the file may be. */
const LOOK_MS = 1_000;
/** More than this is no resolv.conf. */
const FILE_BYTES = 1 << 16;
/** The answer of another server is better than these. */
const POOR: readonly number[] = [RCODE.serverFailure, RCODE.notImplemented, RCODE.refused];

interface KnownFile {
  lookedAtMs: number;
  signature: string;
  servers: readonly string[];
}

export class Upstream {
  private readonly files = new Map<string, KnownFile>();
  /** When a server last gave no answer: those that do are asked first. */
  private readonly silentAtMs = new Map<string, number>();
  private readonly lanes = new Map<string, UdpLanes>();

  /** @param own addresses that would lead back here */
  constructor(private readonly own: readonly string[]) {}

  /** Of the first of the files that names any. */
  servers(files: readonly string[]): readonly string[] {
    for (const path of files) {
      const { servers } = this.look(path);
      if (servers.length > 0) return servers;
    }
    return [];
  }

  /** @returns undefined: none has answered, or the signal has ended it */
  async ask(
    bytes: Buffer,
    question: Buffer,
    servers: readonly string[],
    transport: 'udp' | 'tcp',
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const order = [...servers].sort((a, b) => (this.silentAtMs.get(a) ?? 0) - (this.silentAtMs.get(b) ?? 0));
    const tries = transport === 'tcp' ? order : repeated(order, LEAST_TRIES);
    const patienceMs = transport === 'tcp' ? TCP_PATIENCE_MS / order.length : UDP_BUDGET_MS / tries.length;
    let poor: Buffer | undefined;
    const asked = new Set<string>();
    for (const server of tries) {
      if (signal.aborted) return undefined;
      // A packet may get lost; an answer stays the same.
      if (asked.has(server)) continue;
      const answer =
        transport === 'tcp'
          ? await exchangeTcp(server, bytes, question, patienceMs, signal)
          : await this.lanesTo(server).ask(bytes, question, patienceMs, signal);
      if (answer && !POOR.includes(rcodeOf(answer))) {
        this.silentAtMs.delete(server);
        return answer;
      }
      if (answer) {
        poor = answer;
        asked.add(server);
      } else if (!signal.aborted) this.silentAtMs.set(server, Date.now());
    }
    return poor;
  }

  private lanesTo(server: string): UdpLanes {
    const known = this.lanes.get(server);
    if (known) return known;
    const lanes = new UdpLanes(server);
    this.lanes.set(server, lanes);
    return lanes;
  }

  private look(path: string): KnownFile {
    const known = this.files.get(path) ?? { lookedAtMs: -Infinity, signature: '', servers: [] };
    const nowMs = performance.now();
    if (nowMs - known.lookedAtMs < LOOK_MS) return known;
    known.lookedAtMs = nowMs;
    this.files.set(path, known);
    try {
      const { ino, mtimeNs, size } = statSync(path, { bigint: true });
      const signature = `${ino} ${mtimeNs} ${size}`;
      if (signature === known.signature) return known;
      known.servers = nameServers(readFileSync(path).toString('utf8', 0, FILE_BYTES), this.own);
      known.signature = signature;
      this.silentAtMs.clear();
      this.lanes.clear();
    } catch {
      // It is missing, or being replaced: the servers that were known are asked until it is there again.
      known.signature = '';
    }
    return known;
  }
}

function repeated(servers: readonly string[], least: number): string[] {
  const tries: string[] = [];
  while (servers.length > 0 && tries.length < Math.max(least, servers.length)) tries.push(...servers);
  return tries;
}

function exchangeTcp(
  server: string,
  bytes: Buffer,
  question: Buffer,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const id = randomInt(0x10000);
    const socket = connect({ port: PORT, host: server });
    const messages = new FramedMessages();
    let ended = false;
    const end = (answer?: Buffer): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      socket.destroy();
      resolve(answer && withId(answer, bytes.readUInt16BE(0)));
    };
    const aborted = (): void => end();
    const timer = setTimeout(end, patienceMs);
    signal.addEventListener('abort', aborted);
    socket.on('error', () => end());
    socket.on('close', () => end());
    socket.on('data', (data) => {
      for (const answer of messages.add(data)) if (isAnswer(answer, id, question)) end(answer);
    });
    socket.on('connect', () => socket.write(framed(withId(bytes, id))));
  });
}
