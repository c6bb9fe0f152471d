/**
 * Decides requests for containers together, on hosts whose rows are locked: each sees what those before it got. It is
 * the same decision as for one request (creation.ts), only on few hosts; where more hosts could change it, it is left
 * open.
 */
import type { ContainerRequested, TenantPolicy } from '@plinth/contracts';
import type { TakenPort } from '../../network/domain/host-ports.js';
import { hasRoom } from '../../placement/domain/filters.js';
import type { Groups } from '../../placement/domain/groups.js';
import type { CandidateHost, Resources } from '../../placement/domain/placement.js';
import type { TenantUsage } from '../../placement/domain/tenant-quota.js';
import {
  type Creation,
  type CreationDraws,
  type CreationRefusal,
  type CreationRules,
  type CreationView,
  planCreation,
  tenantOf,
} from './creation.js';

export type Plan = Extract<Creation, { ok: true }>;

export type PlannedRequest =
  | { readonly kind: 'placed'; readonly plan: Plan; readonly host: CandidateHost }
  | { readonly kind: 'refused'; readonly refusal: CreationRefusal }
  /** Only a look at all hosts can decide it. */
  | { readonly kind: 'open' };

const NO_USAGE: TenantUsage = { containers: 0, memoryBytes: 0, diskBytes: 0 };

/** What is read for a batch beside the hosts. */
export interface BatchKnowledge extends Pick<
  CreationView,
  'catalogue' | 'portsTaken' | 'hostsKnown' | 'warm' | 'held'
> {
  /** Of the tenants, without this batch; absent: there is no quota. */
  readonly usages: ReadonlyMap<string, TenantUsage>;
  /** {@link nameKey} of containers that exist, at least of those that are asked for. */
  readonly names: Iterable<string>;
  /** What containers of the tenants may reach; absent: it was never set. */
  readonly policies: ReadonlyMap<string, TenantPolicy>;
  /** At least those that the requests name; it sees what this batch gives out. */
  readonly groups?: Groups | undefined;
}

/** The state that a batch is decided on, and what it has given out so far. */
export class BatchState {
  private readonly hosts: Map<string, CandidateHost>;
  private readonly usages: Map<string, TenantUsage>;
  private readonly names: Set<string>;
  private readonly ports: TakenPort[];

  /**
   * @param hosts locked
   * @param isWhole no other host gets containers
   */
  constructor(
    hosts: readonly CandidateHost[],
    private readonly isWhole: boolean,
    private readonly known: BatchKnowledge,
  ) {
    const { usages, names, portsTaken } = known;
    this.hosts = new Map(hosts.map((host) => [host.host, host]));
    this.usages = new Map(usages);
    this.names = new Set(names);
    this.ports = [...portsTaken];
  }

  /** As they are now. */
  get locked(): Iterable<CandidateHost> {
    return this.hosts.values();
  }

  isLocked(host: string): boolean {
    return this.hosts.has(host);
  }

  lock(hosts: readonly CandidateHost[]): void {
    for (const host of hosts) if (!this.hosts.has(host.host)) this.hosts.set(host.host, host);
  }

  /** Hosts as read beside the locks, with what this batch gave out on those that it has. */
  withGiven(hosts: readonly CandidateHost[]): readonly CandidateHost[] {
    return hosts.map((host) => this.hosts.get(host.host) ?? host);
  }

  plan(
    request: ContainerRequested,
    hosts: readonly CandidateHost[],
    rules: CreationRules,
    draws: CreationDraws,
  ): Creation {
    const tenant = tenantOf(request);
    const { catalogue, policies, groups, hostsKnown, warm, held } = this.known;
    const usage = this.usages.get(tenant) ?? NO_USAGE;
    const tenantPolicy = policies.get(tenant);
    const view = { hosts, catalogue, usage, portsTaken: this.ports, tenantPolicy, groups, hostsKnown, warm, held };
    return planCreation(request, view, rules, draws);
  }

  /** Decides on the locked hosts. */
  decide(request: ContainerRequested, rules: CreationRules, draws: CreationDraws): PlannedRequest {
    const plan = this.plan(request, [...this.hosts.values()], rules, draws);
    if (!this.isWhole && !isSure(plan)) return { kind: 'open' };
    return this.settle(plan);
  }

  /** Takes the best of the plan's hosts that is locked and has room. */
  settle(plan: Creation): PlannedRequest {
    if (!plan.ok) return { kind: 'refused', refusal: plan };
    const { tenant, name } = plan.holder;
    if (this.names.has(nameKey(tenant, name))) return { kind: 'refused', refusal: nameTaken(tenant, name) };
    const host = plan.hosts.find((candidate) => {
      const now = this.hosts.get(candidate.host);
      return now !== undefined && hasRoom(now, plan.resources);
    });
    return host ? { kind: 'placed', plan, host } : { kind: 'open' };
  }

  /** What a placed request takes: those behind it see it. */
  give({ plan, host }: Extract<PlannedRequest, { kind: 'placed' }>): void {
    const { resources, holder, group, ports } = plan;
    if (group !== undefined) this.known.groups?.add({ tenant: holder.tenant, group }, host);
    const now = this.hosts.get(host.host);
    if (now) this.hosts.set(host.host, { ...now, allocated: sum(now.allocated, resources) });
    const usage = this.usages.get(holder.tenant);
    if (usage)
      this.usages.set(holder.tenant, {
        ...usage,
        containers: usage.containers + 1,
        memoryBytes: usage.memoryBytes + resources.memoryBytes,
      });
    this.names.add(nameKey(holder.tenant, holder.name));
    for (const { asked, protocol, hostPort } of ports)
      if (asked && hostPort !== undefined)
        this.ports.push({ host: host.host, protocol, port: hostPort, tenant: holder.tenant, name: holder.name });
  }
}

export function nameKey(tenant: string, name: string): string {
  return `${tenant}/${name}`;
}

export function nameTaken(tenant: string, name: string): CreationRefusal {
  return { reason: 'name-taken', message: `tenant ${tenant} has a container named ${name} already` };
}

/** Whether no further host could change anything but which host it is. */
function isSure(plan: Creation): boolean {
  // A host that is not among them may have room, the image, or a free port; the quota has been asked after those.
  return plan.ok ? !plan.dependsOnHosts : plan.reason === 'quota-exceeded';
}

function sum(a: Resources, b: Resources): Resources {
  return {
    memoryBytes: a.memoryBytes + b.memoryBytes,
    cpus: a.cpus + b.cpus,
    containers: a.containers + b.containers,
  };
}
