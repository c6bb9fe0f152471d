/** Takes queries, decides with the names that the agents have written, and answers or forwards. */
import { AnswerCache, type Asked } from './answer-cache.js';
import { decide } from './answers.js';
import { FairPlaces, type Occupant } from './fair-places.js';
import { CLASS_INTERNET, payloadLimit, type Query, RCODE, readQuery, replyBytes, TYPE } from './message.js';
import type { Respond } from './sockets.js';
import { type Counter, COUNTERS, RESOLVER_ADDRESS, RESOLVER_ADDRESS6, STATUS_NAME, statusTexts } from './status.js';
import type { Upstream } from './upstream.js';
import type { ZoneFiles } from './zone-files.js';
import type { Viewer, Zones } from './zones.js';

/** Queries that wait for an answer from elsewhere; each has a descriptor. */
const FORWARDED = 512;
const FORWARDED_PER_ASKER = 64;
/** Of the host's own queries about one thing at once: more come from a resolver of the host that asks this one. */
const SAME_FROM_HOST = 4;
const HOST_GROUP = '';
const OWN: readonly string[] = [RESOLVER_ADDRESS, RESOLVER_ADDRESS6];
const OPERATOR: Viewer = { kind: 'operator' };

export interface ResolverOptions {
  readonly zones: Zones;
  readonly files: ZoneFiles;
  readonly upstream: Upstream;
  readonly builtAtMs: number;
}

export class Resolver {
  private readonly counters = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Record<Counter, number>;
  private readonly places = new FairPlaces(FORWARDED, FORWARDED_PER_ASKER);
  private readonly cache = new AnswerCache();
  private readonly fromHost = new Map<string, number>();
  private askedAtMs = performance.now();

  constructor(private readonly options: ResolverOptions) {}

  /** Queries that wait for an answer from elsewhere. */
  get inProgress(): number {
    return this.places.size;
  }

  /** Milliseconds since an agent has last asked for the status. */
  get unwatchedMs(): number {
    return performance.now() - this.askedAtMs;
  }

  /** The tenant of an asker, a text of its own for the host; undefined: neither. */
  groupOf(address: string): string | undefined {
    const viewer = this.viewerAt(address);
    if (!viewer) return undefined;
    return viewer.kind === 'operator' ? HOST_GROUP : `${viewer.tenant}.${viewer.domain}`;
  }

  query(bytes: Buffer, address: string, transport: 'udp' | 'tcp', respond: Respond): void {
    const read = readQuery(bytes);
    if (read.kind !== 'query') {
      this.counters.malformed += 1;
      respond(read.kind === 'reply' ? read.bytes : undefined);
      return;
    }
    const { query } = read;
    const viewer = this.viewerAt(address);
    if (!viewer) {
      this.refuse(query, RCODE.refused, 'refused', transport, respond);
      return;
    }
    if (viewer.kind === 'operator' && query.name === STATUS_NAME) {
      respond(this.status(query, transport));
      return;
    }
    let decision = decide(query, viewer, this.options.zones);
    // The name may have been written this moment.
    if (decision.kind === 'reply' && decision.result === 'absent' && this.options.files.refresh())
      decision = decide(query, viewer, this.options.zones);
    if (decision.kind === 'reply') {
      this.counters[decision.result] += 1;
      respond(replyBytes(query, decision.reply, transport));
      return;
    }
    void this.forward(bytes, query, address, transport, respond);
  }

  private viewerAt(address: string): Viewer | undefined {
    // The kernel takes the address that is asked as the source, and no packet from elsewhere has it.
    if (OWN.includes(address) || address.startsWith('127.')) return OPERATOR;
    const { zones, files } = this.options;
    return zones.askerAt(address) ?? (files.refresh() ? zones.askerAt(address) : undefined);
  }

  private async forward(
    bytes: Buffer,
    query: Query,
    address: string,
    transport: 'udp' | 'tcp',
    respond: Respond,
  ): Promise<void> {
    const { zones, upstream } = this.options;
    const ended = new AbortController();
    const occupant: Occupant = { group: this.groupOf(address) ?? '', asker: address, evict: () => ended.abort() };
    const servers = upstream.servers(zones.headers.map(({ resolvConf }) => resolvConf));
    if (servers.length === 0) {
      this.refuse(query, RCODE.serverFailure, 'failed', transport, respond);
      return;
    }
    const asked: Asked = { group: occupant.group, query, transport, servers };
    const known = this.cache.get(asked, performance.now());
    if (known) {
      this.counters.cached += 1;
      respond(known);
      return;
    }
    const key = occupant.group === HOST_GROUP ? query.question.toString('latin1').toLowerCase() : undefined;
    if (!this.enter(key) || !this.places.take(occupant)) {
      this.leave(key);
      this.refuse(query, RCODE.serverFailure, 'overloaded', transport, respond);
      return;
    }
    this.counters.forwarded += 1;
    try {
      const answer = await upstream.ask(bytes, query.question, servers, transport, ended.signal);
      const fits = answer && (transport === 'tcp' || answer.length <= Math.max(payloadLimit(query), udpBytes(query)));
      if (fits) {
        this.cache.put(asked, answer, performance.now());
        respond(answer);
      } else
        this.refuse(query, RCODE.serverFailure, ended.signal.aborted ? 'overloaded' : 'failed', transport, respond);
    } finally {
      this.places.release(occupant);
      this.leave(key);
    }
  }

  /** @returns false when the host has asked for the same so often that it seems to go in a circle */
  private enter(key: string | undefined): boolean {
    if (key === undefined) return true;
    const same = (this.fromHost.get(key) ?? 0) + 1;
    this.fromHost.set(key, same);
    return same <= SAME_FROM_HOST;
  }

  private leave(key: string | undefined): void {
    if (key === undefined) return;
    const left = (this.fromHost.get(key) ?? 1) - 1;
    if (left > 0) this.fromHost.set(key, left);
    else this.fromHost.delete(key);
  }

  private refuse(query: Query, rcode: number, counter: Counter, transport: 'udp' | 'tcp', respond: Respond): void {
    this.counters[counter] += 1;
    respond(replyBytes(query, { rcode }, transport));
  }

  private status(query: Query, transport: 'udp' | 'tcp'): Buffer {
    this.askedAtMs = performance.now();
    const { zones, builtAtMs } = this.options;
    if (query.type !== TYPE.TXT || query.class !== CLASS_INTERNET)
      return replyBytes(query, { rcode: RCODE.noError, authoritative: true }, transport);
    const { pid } = process;
    const data = statusTexts({ pid, builtAtMs, names: zones.size, counters: this.counters });
    const answers = [{ type: 'TXT' as const, name: query.asked, ttl: 0, data }];
    return replyBytes(query, { rcode: RCODE.noError, authoritative: true, answers }, transport);
  }
}

/** What the asker itself has offered to the server that has answered. */
function udpBytes({ edns }: Query): number {
  return edns?.payloadBytes ?? 0;
}
