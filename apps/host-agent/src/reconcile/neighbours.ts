/**
 * What this host knows of the containers of its tenants on other hosts: received from the bus, kept on disk, then given
 * to the network. Without the bus everything stays as it was received last.
 */
import type { TenantNeighbours } from '@plinth/contracts';
import { type Logger, WorkLoop } from '@plinth/service-kit';
import type { Networks } from '../adapters/networks.js';
import { type NeighbourStore, partName } from '../adapters/neighbour-store.js';

const RETRY_MS = 1_000;

export class Neighbours {
  private readonly known = new Map<string, TenantNeighbours>();
  /** Received, not on disk yet. */
  private pending = new Map<string, TenantNeighbours>();
  /** Received since all present values were read the last time. */
  private seen = new Set<string>();
  private readonly loop: WorkLoop;

  constructor(
    private readonly host: string,
    private readonly store: NeighbourStore,
    private readonly networks: Pick<Networks, 'setNeighbours'>,
    private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.keepAll(),
      retryMs: () => RETRY_MS,
      failed: (error) =>
        logger.error(
          { err: error },
          'containers of other hosts could not be stored; they have no effect until they are',
        ),
    });
  }

  /** Before the networks of running containers are taken over. */
  async load(): Promise<void> {
    const { parts, unreadable } = await this.store.readAll();
    for (const name of unreadable)
      this.logger.warn({ name }, 'a part of the containers of other hosts is not readable');
    for (const part of parts) this.apply(part);
    this.loop.start();
  }

  accept(part: TenantNeighbours): void {
    this.seen.add(partName(part));
    this.pending.set(partName(part), part);
    this.loop.kick();
  }

  /**
   * All present values were received. Of a tenant that has no container here, what did not come is over; of others it
   * is kept, because the bus has an empty part for it, unless it has lost everything.
   */
  caughtUp(isServed: (tenantNumber: number) => boolean): void {
    const { seen } = this;
    this.seen = new Set();
    for (const [name, part] of this.known) {
      if (seen.has(name) || this.pending.has(name) || isServed(part.tenantNumber)) continue;
      this.pending.set(name, { ...part, containers: [] });
    }
    this.loop.kick();
  }

  close(): Promise<void> {
    return this.loop.stop();
  }

  private async keepAll(): Promise<void> {
    for (const [name, part] of this.pending) {
      if (part.containers.length > 0) await this.store.save(part);
      else await this.store.delete(part);
      // A newer one that came meanwhile is stored next.
      if (this.pending.get(name) === part) this.pending.delete(name);
      this.apply(part);
      if (this.loop.isStopping) return;
    }
  }

  private apply(part: TenantNeighbours): void {
    const name = partName(part);
    if (part.containers.length > 0) this.known.set(name, part);
    else this.known.delete(name);
    this.networks.setNeighbours(
      name,
      part,
      part.containers.filter(({ host }) => host !== this.host),
    );
  }
}
