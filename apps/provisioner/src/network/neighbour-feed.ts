/**
 * Tells hosts of the tenants that they serve: of their containers, and of what those may reach. What changed is marked in the transaction of the
 * change; here it is read and published, for all changes of a tenant since the last time at once.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { desiredNeighbours, desiredTenantEgress, type Neighbour, NEIGHBOUR_SHARDS, STREAMS } from '@plinth/contracts';
import {
  CONNECTION,
  type Logger,
  LOGGER,
  newId,
  type NextPass,
  Outbox,
  isFirstInTurn,
  UnitOfWork,
  WorkLoop,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import type { DataSource } from 'typeorm';
import { keptCounts } from '../placement/count.store.js';
import { firstOf, neighbourPlan } from './domain/neighbour-plan.js';
import {
  audienceOf,
  type EndedHost,
  endedHosts,
  forgetHost,
  hasEnded,
  isChanged,
  markParts,
  lockTenant,
  neighboursIn,
  saveAudience,
  takeChanges,
  tenantsWithChanges,
} from './neighbour.store.js';
import { takeUnsentPolicies, tenantsWithUnsentPolicy } from './tenant-egress.store.js';

/** Changes within this time are published together. */
const PERIOD_MS = 200;
const TENANTS_PER_PASS = 100;
/** Values of one transaction, about, and containers that are listed in them. */
const VALUES = 2_000;
const LISTED = 100_000;
const SHARDS = Array.from({ length: NEIGHBOUR_SHARDS }, (_, shard) => shard);

@Injectable()
export class NeighbourFeed {
  private readonly loop: WorkLoop;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.publishAll(),
      periodMs: PERIOD_MS,
      failed: (error) =>
        this.logger.warn({ err: error }, 'hosts were not sent the changes of their neighbours; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async publishAll(): Promise<NextPass | void> {
    const { manager } = this.source;
    const changed = await tenantsWithChanges(manager, TENANTS_PER_PASS);
    const unsent = await tenantsWithUnsentPolicy(manager, TENANTS_PER_PASS);
    let isMore = false;
    for (const tenant of new Set([...unsent, ...changed])) {
      if (this.loop.isStopping) return;
      if (await this.publish(tenant)) isMore = true;
      // What changes until they are on the bus is published together: no more is decided than is sent.
      await this.outbox.delivered();
    }
    for (const ended of await endedHosts(manager, TENANTS_PER_PASS)) {
      if (this.loop.isStopping) return;
      await this.forget(ended);
    }
    if (isMore || changed.length === TENANTS_PER_PASS || unsent.length === TENANTS_PER_PASS) return 'again';
  }

  /** @returns whether there is more */
  private publish(tenant: string): Promise<boolean> {
    const correlationId = newId();
    return this.outbox.transactMany((manager, add) =>
      publishChanges(new UnitOfWork(manager, { correlationId }, add), tenant),
    );
  }

  /**
   * Removes what the bus has for a host that serves the tenant no more. The tenant's lock is held meanwhile: nothing new
   * is published for it, and what was is on the bus.
   */
  private async forget(ended: EndedHost): Promise<void> {
    await this.source.transaction(async (manager) => {
      const number = await lockTenant(manager, ended.tenant);
      if (number === undefined) return;
      const all = desiredNeighbours(ended.host, number, '*');
      const each = [
        ...SHARDS.map((shard) => desiredNeighbours(ended.host, number, shard)),
        desiredTenantEgress(ended.host, number),
      ];
      if (!(await hasEnded(manager, ended))) return;
      if (
        !(await isFirstInTurn(
          manager,
          each.map((subject) => ({ subject })),
        ))
      )
        return;
      const jsm = await this.connection.jetstreamManager();
      await jsm.streams.purge(STREAMS.desired.name, { filter: all });
      await forgetHost(manager, ended);
    });
  }
}

/** @returns whether there is more */
async function publishChanges(unit: UnitOfWork, tenant: string): Promise<boolean> {
  const tenantNumber = await lockTenant(unit.db, tenant);
  if (tenantNumber === undefined) return false;
  const isMore = (await isChanged(unit.db, tenant)) && (await publishParts(unit, tenant, tenantNumber));
  for (const { host, policy } of await takeUnsentPolicies(unit.db, tenant))
    unit.publish(desiredTenantEgress(host, tenantNumber), { tenant, tenantNumber, ...(policy && { policy }) });
  return isMore;
}

/** Of hosts that begin and end, and of parts that changed, as many as one transaction takes. @returns whether there are more */
async function publishParts(unit: UnitOfWork, tenant: string, tenantNumber: number): Promise<boolean> {
  // What is read after the marks are taken has at least their changes: the hosts as well as the containers.
  const marked = await takeChanges(unit.db, tenant);
  const plan = neighbourPlan(await audienceOf(unit.db, tenant));
  const containers = (await keptCounts(unit.db, 'tenant', [tenant])).get(tenant)?.n ?? 0;
  const values = Math.min(VALUES, (LISTED * NEIGHBOUR_SHARDS) / Math.max(1, containers));
  const { changed: kept, begin, end, isMore } = firstOf(plan, Math.max(1, Math.floor(values / NEIGHBOUR_SHARDS)));
  const most = Math.max(1, Math.floor(values / Math.max(1, kept.length)));
  const changed = marked.slice(0, most);
  const rest = marked.slice(most);
  // By a mark the hosts that are left are found too, also when this process dies.
  if (isMore && rest.length === 0) rest.push(changed[0] ?? 0);
  await markParts(unit.db, tenant, rest);
  const isAll = begin.length + end.length > 0;
  const found = await neighboursIn(unit.db, tenant, isAll ? undefined : changed);
  const every = [...new Set([...marked, ...found.keys()])];
  const publish = (host: string, shard: number, containers: readonly Neighbour[]): void =>
    unit.publish(desiredNeighbours(host, tenantNumber, shard), {
      tenant,
      tenantNumber,
      shard,
      containers: [...containers],
    });
  for (const host of kept) for (const shard of changed) publish(host, shard, found.get(shard) ?? []);
  for (const host of begin) for (const shard of every) publish(host, shard, found.get(shard) ?? []);
  for (const host of end) for (const shard of every) publish(host, shard, []);
  await saveAudience(unit.db, tenant, begin, end);
  return rest.length > 0;
}
