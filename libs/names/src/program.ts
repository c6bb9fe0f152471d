/**
 * The resolver as a process: one for each machine (each network, to be exact). It opens its port, or takes it from an
 * older one that has started it, keeps the names as the agents write them, gives its port to a newer program, and ends
 * when no agent has names any more.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket as UdpSocket } from 'node:dgram';
import { mkdirSync, readFileSync, rmdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Resolver } from './resolver.js';
import { openSockets, QuerySource, type Sockets } from './sockets.js';
import { RESOLVER_ADDRESS, RESOLVER_PORT } from './status.js';
import { Upstream } from './upstream.js';
import { ZoneFiles } from './zone-files.js';
import type { ReadHeader } from './zone-journal.js';
import { Zones } from './zones.js';

export const PID_FILE = 'resolver.pid';
/** What it prints. */
export const LOG_FILE = 'resolver.log';
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
  | { readonly kind: 'expecting' | 'udp' | 'tcp' | 'ready' }
  | { readonly kind: 'reply'; readonly reply: string; readonly port: number; readonly address: string };

/** @param directory where the agents of this machine write their files */
export async function runResolver(directory: string, builtAtMs: number): Promise<void> {
  if (!process.connected) {
    new ResolverProgram(directory, builtAtMs, await ownSockets()).start();
    return;
  }
  const { sockets, deliver } = await inheritedSockets();
  const program = new ResolverProgram(directory, builtAtMs, sockets);
  program.start();
  deliver();
  program.takeOver();
}

class ResolverProgram {
  private readonly zones = new Zones();
  private readonly files: ZoneFiles;
  private readonly resolver: Resolver;
  private readonly source: QuerySource;
  private readonly complained = new Set<string>();
  private emptySinceMs: number | undefined;
  private failedProgram: { readonly builtAtMs: number; readonly atMs: number } | undefined;
  private successor: ChildProcess | undefined;

  constructor(
    private readonly directory: string,
    private readonly builtAtMs: number,
    sockets: Sockets,
  ) {
    this.files = new ZoneFiles(directory, this.zones, (problem) => this.complain(problem));
    this.files.refresh();
    const upstream = new Upstream([RESOLVER_ADDRESS]);
    this.resolver = new Resolver({ zones: this.zones, files: this.files, upstream, builtAtMs });
    this.source = new QuerySource(
      sockets,
      (bytes, address, transport, respond) => this.resolver.query(bytes, address, transport, respond),
      (address) => this.resolver.groupOf(address),
      (error) => {
        log(`a socket has failed: ${error.message}`);
        process.exit(EX_UNAVAILABLE);
      },
    );
  }

  start(): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    writeFileSync(join(this.directory, PID_FILE), `${process.pid}\n`, { mode: 0o600 });
    let everyMs = LOOK_MS;
    try {
      watch(this.directory, () => this.look()).on('error', () => undefined);
    } catch (error) {
      // inotify(7) is exhausted on this machine.
      log(`changes are looked for: ${(error as Error).message}`);
      everyMs = LOOK_OFTEN_MS;
    }
    setInterval(() => this.look(), everyMs);
    log(`answers at ${RESOLVER_ADDRESS}, ${this.zones.size} names`);
    this.look();
  }

  /** The process that had the port before passes replies on that it still owes. */
  takeOver(): void {
    process.on('message', (message: HandoverMessage) => {
      if (message.kind === 'reply')
        this.source.send(Buffer.from(message.reply, 'base64'), message.port, message.address);
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
    if (!this.isDirectoryThere()) this.end();
    if (this.resolver.unwatchedMs >= UNWATCHED_MS && !hasContainers()) {
      log('there is neither an agent nor a container any more');
      rmSync(this.directory, { recursive: true, force: true });
      this.end();
    }
    const newest = headers.reduce<ReadHeader | undefined>(
      (found, header) => (header.builtAtMs > (found?.builtAtMs ?? this.builtAtMs) ? header : found),
      undefined,
    );
    if (newest && this.mayTry(newest)) this.handOver(newest);
  }

  private isDirectoryThere(): boolean {
    try {
      return readFileSync(join(this.directory, PID_FILE), 'utf8').trim() === String(process.pid);
    } catch {
      return false;
    }
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
      writeFileSync(join(this.directory, PID_FILE), `${process.pid}\n`, { mode: 0o600 });
      log(`${program} did not start; this resolver goes on`);
    };
    child.on('error', failed);
    child.on('exit', failed);
    child.on('message', (message: HandoverMessage) => {
      // Not before it asks for them: a socket that arrives while it loads would be read, and what it reads be lost.
      if (message.kind === 'expecting') {
        const { udp, tcp } = this.source.handles;
        child.send({ kind: 'udp' } satisfies HandoverMessage, udp as never);
        child.send({ kind: 'tcp' } satisfies HandoverMessage, tcp as never);
      }
      if (message.kind !== 'ready') return;
      isReady = true;
      clearTimeout(timer);
      void this.drain(child);
    });
  }

  private async drain(child: ChildProcess): Promise<never> {
    this.source.handOver((reply, port, address) =>
      child.send({ kind: 'reply', reply: reply.toString('base64'), port, address } satisfies HandoverMessage),
    );
    const end = performance.now() + DRAIN_MS;
    while (performance.now() < end && this.resolver.inProgress + this.source.unfinished > 0) await delay(20);
    // What was sent to it last is on its way.
    child.disconnect();
    await delay(20);
    process.exit(0);
  }

  private end(): void {
    log('ends: no container of this machine has a name any more');
    removeOwnFiles(this.directory);
    process.exit(0);
  }

  /** Once for each sentence, and not without end. */
  private complain(problem: string): void {
    if (this.complained.has(problem) || this.complained.size > 1000) return;
    this.complained.add(problem);
    log(problem);
  }
}

function removeOwnFiles(directory: string): void {
  try {
    if (readFileSync(join(directory, PID_FILE), 'utf8').trim() === String(process.pid))
      for (const name of [PID_FILE, LOG_FILE]) rmSync(join(directory, name), { force: true });
    for (const path of [directory, dirname(directory), dirname(dirname(directory))]) rmdirSync(path);
  } catch {
    // Another process uses it, or has removed it.
  }
}

/** Also without an address of their own: /proc/net/dev shows the interfaces of this process's network. */
function hasContainers(): boolean {
  return /^\s*plc/m.test(readFileSync('/proc/self/net/dev', 'utf8'));
}

async function ownSockets(): Promise<Sockets> {
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
function inheritedSockets(): Promise<{ readonly sockets: Sockets; readonly deliver: () => void }> {
  return new Promise((resolve) => {
    const found: { udp?: UdpSocket; tcp?: Server } = {};
    const early: (() => void)[] = [];
    const take = (message: HandoverMessage, handle: unknown): void => {
      if (message.kind === 'udp') {
        const udp = (found.udp = handle as UdpSocket);
        udp.on('message', (bytes, from) => early.push(() => udp.emit('message', bytes, from)));
      }
      if (message.kind === 'tcp') {
        const tcp = (found.tcp = handle as Server);
        tcp.on('connection', (socket) => early.push(() => tcp.emit('connection', socket)));
      }
      const { udp, tcp } = found;
      if (!udp || !tcp) return;
      process.off('message', take);
      // Everything up to then happens in this turn of the loop, before the next packet is read.
      udp.removeAllListeners('message');
      tcp.removeAllListeners('connection');
      const deliver = (): void => {
        for (const arrived of early.splice(0)) arrived();
      };
      resolve({ sockets: { udp, tcp }, deliver });
    };
    process.on('message', take);
    process.send?.({ kind: 'expecting' } satisfies HandoverMessage);
    // The process that had the port before has ended, and the port with it.
    process.once('disconnect', () => {
      if (!found.udp || !found.tcp) process.exit(EX_UNAVAILABLE);
    });
  });
}

function log(line: string): void {
  process.stderr.write(`${new Date().toISOString()} names[${process.pid}] ${line}\n`);
}
