/** How many updates may be in progress at once: containers that are switched and not judged yet, or being reverted. */
import type { RolloutRequested, RolloutWait } from '@plinth/contracts';
import type { MemberTally } from './rollout-view.js';

export interface Budgets {
  readonly batch: number;
  readonly perHost: number;
  readonly perTenant: number;
}

const DEFAULT_BATCH = '10%';

/** @param total containers of the rollout */
export function budgetsOf(request: RolloutRequested, total: number): Budgets {
  const text = request.batch ?? DEFAULT_BATCH;
  const share = text.endsWith('%') ? Math.ceil((total * Number(text.slice(0, -1))) / 100) : Number(text);
  const batch = Math.max(1, share);
  return { batch, perHost: request.maxDownPerHost ?? batch, perTenant: request.maxDownPerTenant ?? batch };
}

/** Containers of the next batch. */
export function batchSize(request: RolloutRequested, { batch, counts }: MemberTally): number {
  const canary = request.canary ?? 1;
  return batch < 0 && canary > 0 ? canary : budgetsOf(request, counts.total).batch;
}

export interface Placed {
  readonly containerId: string;
  readonly host: string;
  readonly tenant: string;
}

/** Counts the updates in progress, per host and per tenant. */
export class InProgress {
  private readonly ids = new Set<string>();
  private readonly hosts = new Map<string, number>();
  private readonly tenants = new Map<string, number>();

  constructor(placed: readonly Placed[]) {
    for (const one of placed) this.take(one);
  }

  has({ containerId }: Placed): boolean {
    return this.ids.has(containerId);
  }

  take(one: Placed): void {
    if (this.ids.has(one.containerId)) return;
    this.ids.add(one.containerId);
    this.hosts.set(one.host, (this.hosts.get(one.host) ?? 0) + 1);
    this.tenants.set(one.tenant, (this.tenants.get(one.tenant) ?? 0) + 1);
  }

  /** Hosts and tenants that have reached their budgets. */
  exhausted(budgets: Budgets): { readonly hosts: readonly string[]; readonly tenants: readonly string[] } {
    const full = (counts: ReadonlyMap<string, number>, most: number): string[] =>
      [...counts].flatMap(([name, count]) => (count >= most ? [name] : []));
    return { hosts: full(this.hosts, budgets.perHost), tenants: full(this.tenants, budgets.perTenant) };
  }

  /** @returns why one more update would exceed a budget; undefined: it would not */
  refusal({ host, tenant }: Placed, budgets: Budgets): RolloutWait | undefined {
    if ((this.hosts.get(host) ?? 0) >= budgets.perHost)
      return {
        reason: 'host-budget',
        message: `host ${host} has reached its limit of updates in progress: ${budgets.perHost}`,
      };
    if ((this.tenants.get(tenant) ?? 0) >= budgets.perTenant)
      return {
        reason: 'tenant-budget',
        message: `tenant ${tenant} has reached its limit of updates in progress: ${budgets.perTenant}`,
      };
    return undefined;
  }
}
