/** The leases of hosts on this node's volumes, and how long ago each was renewed. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ID_PATTERN, type LeaseSummary, NAME_PATTERN } from '@plinth/contracts';

const MAX_BYTES = 4096;
const ENDING = '.json';

export class HostLeases {
  /**
   * By host: the renewal that was read last, and since when by the clock of this process; the hosts' clocks are not
   * comparable with it.
   */
  private readonly seen = new Map<string, { readonly renewal: string; readonly sinceMs: number }>();

  constructor(private readonly directory: string) {}

  async read(): Promise<LeaseSummary[]> {
    const found = await Promise.all((await this.hosts()).map((host) => this.readLease(host)));
    const leases = found.flatMap((lease) => lease ?? []);
    const there = new Set(leases.map(({ host }) => host));
    for (const host of this.seen.keys()) if (!there.has(host)) this.seen.delete(host);
    return leases;
  }

  private async readLease(host: string): Promise<LeaseSummary | undefined> {
    let body: Buffer;
    try {
      body = await readFile(join(this.directory, `${host}${ENDING}`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const lease = body.length <= MAX_BYTES ? parse(body) : undefined;
    if (!lease) return undefined;
    const nowMs = performance.now();
    const before = this.seen.get(host);
    const sinceMs = before?.renewal === lease.renewal ? before.sinceMs : nowMs;
    this.seen.set(host, { renewal: lease.renewal, sinceMs });
    return { host, ...lease, unrenewedMs: Math.floor(nowMs - sinceMs) };
  }

  private async hosts(): Promise<string[]> {
    try {
      const names = await readdir(this.directory);
      return names
        .filter((name) => name.endsWith(ENDING))
        .map((name) => name.slice(0, -ENDING.length))
        .filter((host) => NAME_PATTERN.test(host));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}

/** Hosts write the file, so it may contain anything. */
function parse(body: Buffer): { renewal: string; ttlSeconds: number } | undefined {
  try {
    const { renewal, ttlSeconds } = JSON.parse(body.toString('utf8')) as { renewal?: unknown; ttlSeconds?: unknown };
    if (typeof renewal !== 'string' || !ID_PATTERN.test(renewal)) return undefined;
    return typeof ttlSeconds === 'number' && Number.isInteger(ttlSeconds) && ttlSeconds >= 1 && ttlSeconds <= 86_400
      ? { renewal, ttlSeconds }
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
