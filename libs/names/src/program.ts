/**
 * The resolver as a process: one for each machine (each network, to be exact). It opens its port, or takes it from an
 * older one that has started it, keeps the names as the agents write them, gives its port to a newer program, and ends
 * when no agent has names any more.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket as UdpSocket } from 'node:dgram';
import { mkdirSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import { isIPv6, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Resolver } from './resolver.js';
import { openSockets, QuerySource, type Sockets } from './sockets.js';
import { RESOLVER_ADDRESS, RESOLVER_ADDRESS6, RESOLVER_PORT } from './status.js';
import { Upstream } from './upstream.js';
import { ZoneFiles } from './zone-files.js';
import type { ReadHeader } from './zone-journal.js';
import { Zones } from './zones.js';

export const PID_FILE = 'resolver.pid';
/** What it prints. */
export const LOG_FILE = 'resolver.log';
/**
 * User and group of the process, on every machine: one that systemd and Debian give to nothing else (UIDS-GIDS.md of
 * systemd, 65520 to 65533). The group reads what agents write.
 */
export const RESOLVER_ID = 65_530;
/** Node.js options of the process: it holds little. */
export const NODE_OPTIONS = ['--max-semi-space-size=1'];
/** sysexits.h */
const EX_UNAVAILABLE = 69;

const LOOK_MS = 1_000;
/** Without notifications of changes. */
const LOOK_OFTEN_MS = 100;
/** Without any agent's file: the next container may follow at once. */
const LINGER_MS = 3_000;
/** Agents ask for the status every second. */
const UNWATCHED_MS = 60_000;
/** The address is added with the first container's interface. */
const ADDRESS_PATIENCE_MS = 10_000;
const ADDRESS_RETRY_MS = 20;
const READY_PATIENCE_MS = 20_000;
const DRAIN_MS = 6_000;
const NEXT_TRY_MS = 60_000;

type HandoverMessage =
  | { readonly kind: 'expecting' | 'udp6' | 'tcp6' | 'udp' | 'tcp' | 'ready' }
  | { readonly kind: 'reply'; readonly reply: string; readonly port: number; readonly address: string };

/** @param directory where the agents of this machine write their files */
export async function runResolver(directory: string, builtAtMs: number): Promise<void> {
  if (!process.connected) {
    const own = await ownSockets();
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writePid(directory);
    giveUpRights();
    new ResolverProgram(directory, builtAtMs, own).start();
    return;
  }
  const { sockets, deliver } = await inheritedSockets();
  giveUpRights();
  const program = new ResolverProgram(directory, builtAtMs, sockets);
  program.start();
  deliver();
  program.takeOver();
}

/** By IPv4, and by IPv6 where this machine has it. */
interface AllSockets {
  readonly ipv4: Sockets;
  readonly ipv6?: Sockets | undefined;
}

class ResolverProgram {
  private readonly zones = new Zones();
  private readonly files: ZoneFiles;
  private readonly resolver: Resolver;
  private readonly sources: readonly QuerySource[];
  /** Where the directory was removed, or made again, nobody counts on this process any more. */
  private readonly inode: bigint | undefined;
  private readonly complained = new Set<string>();
  private emptySinceMs: number | undefined;
  private failedProgram: { readonly builtAtMs: number; readonly atMs: number } | undefined;
  private successor: ChildProcess | undefined;

  constructor(
    private readonly directory: string,
    private readonly builtAtMs: number,
    private readonly sockets: AllSockets,
  ) {
    this.inode = inodeOf(directory);
    this.files = new ZoneFiles(directory, this.zones, (problem) => this.complain(problem));
    this.files.refresh();
    const upstream = new Upstream([RESOLVER_ADDRESS, RESOLVER_ADDRESS6]);
    this.resolver = new Resolver({ zones: this.zones, files: this.files, upstream, builtAtMs });
    this.sources = [sockets.ipv4, ...(sockets.ipv6 ? [sockets.ipv6] : [])].map(
      (pair) =>
        new QuerySource(
          pair,
          (bytes, address, transport, respond) => this.resolver.query(bytes, address, transport, respond),
          (address) => this.resolver.groupOf(address),
          (error) => {
            log(`a socket has failed: ${error.message}`);
            process.exit(EX_UNAVAILABLE);
          },
        ),
    );
  }

  start(): void {
    let everyMs = LOOK_MS;
    try {
      watch(this.directory, () => this.look()).on('error', () => undefined);
    } catch (error) {
      // inotify(7) is exhausted on this machine.
      log(`changes are looked for: ${(error as Error).message}`);
      everyMs = LOOK_OFTEN_MS;
    }
    setInterval(() => this.look(), everyMs);
    const addresses = [RESOLVER_ADDRESS, ...(this.sockets.ipv6 ? [RESOLVER_ADDRESS6] : [])].join(' and ');
    log(`answers at ${addresses}, ${this.zones.size} names, as user ${process.getuid?.()}`);
    this.look();
  }

  /** The process that had the port before passes replies on that it still owes. */
  takeOver(): void {
    process.on('message', (message: HandoverMessage) => {
      if (message.kind === 'reply')
        this.sources[isIPv6(message.address) ? 1 : 0]?.send(
          Buffer.from(message.reply, 'base64'),
          message.port,
          message.address,
        );
    });
    process.send?.({ kind: 'ready' } satisfies HandoverMessage);
  }

  private look(): void {
    this.files.refresh();
    if (this.successor) return;
    const { headers } = this.files;
    const nowMs = performance.now();
    this.emptySinceMs = headers.length > 0 ? undefined : (this.emptySinceMs ?? nowMs);
    if (this.emptySinceMs !== undefined && nowMs - this.emptySinceMs >= LINGER_MS) this.end();
    if (this.inode === undefined || inodeOf(this.directory) !== this.inode) this.end();
    if (this.resolver.unwatchedMs >= UNWATCHED_MS && !hasContainers()) {
      log('there is neither an agent nor a container any more');
      this.end();
    }
    const newest = headers.reduce<ReadHeader | undefined>(
      (found, header) => (header.builtAtMs > (found?.builtAtMs ?? this.builtAtMs) ? header : found),
      undefined,
    );
    if (newest && this.mayTry(newest)) this.handOver(newest);
  }

  private mayTry({ builtAtMs }: ReadHeader): boolean {
    const failed = this.failedProgram;
    return failed?.builtAtMs !== builtAtMs || performance.now() - failed.atMs >= NEXT_TRY_MS;
  }

  /** Starts the newer program with both sockets; reads on until that is ready, and for good when it does not get so. */
  private handOver({ program, builtAtMs }: ReadHeader): void {
    log(`gives its port to ${program}`);
    const child = fork(program, [this.directory, String(builtAtMs)], {
      detached: true,
      cwd: '/',
      execArgv: NODE_OPTIONS,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.successor = child;
    let isReady = false;
    const timer = setTimeout(() => child.kill('SIGKILL'), READY_PATIENCE_MS);
    const failed = (): void => {
      clearTimeout(timer);
      if (isReady || this.successor !== child) return;
      this.successor = undefined;
      this.failedProgram = { builtAtMs, atMs: performance.now() };
      log(`${program} did not start; this resolver goes on`);
    };
    child.on('error', failed);
    child.on('exit', failed);
    child.on('message', (message: HandoverMessage) => {
      // Not before it asks for them: a socket that arrives while it loads would be read, and what it reads be lost.
      if (message.kind === 'expecting') {
        const { ipv4, ipv6 } = this.sockets;
        // Those of IPv4 last: with them a program that knows no others has all.
        if (ipv6) child.send({ kind: 'udp6' } satisfies HandoverMessage, ipv6.udp as never);
        if (ipv6) child.send({ kind: 'tcp6' } satisfies HandoverMessage, ipv6.tcp as never);
        child.send({ kind: 'udp' } satisfies HandoverMessage, ipv4.udp as never);
        child.send({ kind: 'tcp' } satisfies HandoverMessage, ipv4.tcp as never);
      }
      if (message.kind !== 'ready') return;
      isReady = true;
      clearTimeout(timer);
      void this.drain(child);
    });
  }

  private async drain(child: ChildProcess): Promise<never> {
    for (const source of this.sources)
      source.handOver((reply, port, address) =>
        child.send({ kind: 'reply', reply: reply.toString('base64'), port, address } satisfies HandoverMessage),
      );
    const unfinished = (): number => this.sources.reduce((sum, source) => sum + source.unfinished, 0);
    const end = performance.now() + DRAIN_MS;
    while (performance.now() < end && this.resolver.inProgress + unfinished() > 0) await delay(20);
    // What was sent to it last is on its way.
    child.disconnect();
    await delay(20);
    process.exit(0);
  }

  private end(): void {
    // What is left of its files is root's: agents take it away.
    log('ends: no container of this machine has a name any more');
    process.exit(0);
  }

  /** Once for each sentence, and not without end. */
  private complain(problem: string): void {
    if (this.complained.has(problem) || this.complained.size > 1000) return;
    this.complained.add(problem);
    log(problem);
  }
}

/** While it may write there; later agents do. */
function writePid(directory: string): void {
  writeFileSync(join(directory, PID_FILE), `${process.pid}\n`, { mode: 0o600 });
}

function inodeOf(directory: string): bigint | undefined {
  return statSync(directory, { bigint: true, throwIfNoEntry: false })?.ino;
}

/** All code is loaded, and the ports are open: nothing of root is needed any more. For every thread of the process. */
function giveUpRights(): void {
  if (process.getuid?.() !== 0) return;
  try {
    process.setgroups?.([]);
    process.setgid?.(RESOLVER_ID);
    process.setuid?.(RESOLVER_ID);
  } catch (error) {
    // A program from before this one, which has no right to change its user, has started it.
    log(`stays user 0: ${(error as Error).message}`);
  }
}

/** Also without an address of their own: /proc/net/dev shows the interfaces of this process's network. */
function hasContainers(): boolean {
  return /^\s*plc/m.test(readFileSync('/proc/self/net/dev', 'utf8'));
}

async function ownSockets(): Promise<AllSockets> {
  const ipv4 = await ipv4Sockets();
  try {
    return { ipv4, ipv6: await openSockets(RESOLVER_ADDRESS6, RESOLVER_PORT) };
  } catch (error) {
    log(`port ${RESOLVER_PORT} of ${RESOLVER_ADDRESS6} can not be had: ${(error as Error).message}`);
    return { ipv4 };
  }
}

async function ipv4Sockets(): Promise<Sockets> {
  for (const end = performance.now() + ADDRESS_PATIENCE_MS; ; await delay(ADDRESS_RETRY_MS)) {
    try {
      return await openSockets(RESOLVER_ADDRESS, RESOLVER_PORT);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'EADDRNOTAVAIL' && performance.now() < end) continue;
      log(`port ${RESOLVER_PORT} of ${RESOLVER_ADDRESS} can not be had: ${message}`);
      process.exit(EX_UNAVAILABLE);
    }
  }
}

/** A socket is read from the moment it arrives: what comes before the names are known is delivered afterwards. */
function inheritedSockets(): Promise<{ readonly sockets: AllSockets; readonly deliver: () => void }> {
  return new Promise((resolve) => {
    const udps: UdpSocket[] = [];
    const tcps: Server[] = [];
    const early: (() => void)[] = [];
    const take = (message: HandoverMessage, handle: unknown): void => {
      if (message.kind === 'udp' || message.kind === 'udp6') {
        const udp = handle as UdpSocket;
        udps.push(udp);
        udp.on('message', (bytes, from) => early.push(() => udp.emit('message', bytes, from)));
      }
      if (message.kind === 'tcp' || message.kind === 'tcp6') {
        const tcp = handle as Server;
        tcps.push(tcp);
        tcp.on('connection', (socket) => early.push(() => tcp.emit('connection', socket)));
      }
      // That of IPv4 comes last; a program that knows no other sends only that.
      if (message.kind !== 'tcp') return;
      const [udp, udp6] = udps.toReversed();
      const [tcp, tcp6] = tcps.toReversed();
      if (!udp || !tcp) return;
      process.off('message', take);
      // Everything up to then happens in this turn of the loop, before the next packet is read.
      for (const each of udps) each.removeAllListeners('message');
      for (const each of tcps) each.removeAllListeners('connection');
      const deliver = (): void => {
        for (const arrived of early.splice(0)) arrived();
      };
      const ipv6 = udp6 && tcp6 && { udp: udp6, tcp: tcp6 };
      resolve({ sockets: { ipv4: { udp, tcp }, ipv6 }, deliver });
    };
    process.on('message', take);
    process.send?.({ kind: 'expecting' } satisfies HandoverMessage);
    // The process that had the port before has ended, and the port with it.
    process.once('disconnect', () => {
      if (tcps.length === 0) process.exit(EX_UNAVAILABLE);
    });
  });
}

function log(line: string): void {
  process.stderr.write(`${new Date().toISOString()} names[${process.pid}] ${line}\n`);
}
