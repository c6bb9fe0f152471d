/**
 * What containers of the tenants on this host may reach: received from the bus, or with the config of a container that
 * was placed here before that. The newest one counts. It is in the rules first, then on disk, then reported.
 */
import type { ContainerConfig, PolicyInEffect, TenantEgress, TenantPolicy } from '@plinth/contracts';
import { type Logger, WorkLoop } from '@plinth/service-kit';
import type { Networks } from '../adapters/networks.js';
import type { PolicyStore } from '../adapters/policy-store.js';

const RETRY_MS = 1_000;

interface Known {
  readonly tenant: string;
  readonly policy: TenantPolicy;
  /** The rules have it. */
  isApplied: boolean;
  /** Or it is in the config of a container. */
  isStored: boolean;
}

export class TenantPolicies {
  private readonly known = new Map<number, Known>();
  /** Of tenants that have no container here any more. */
  private readonly over = new Set<number>();
  /** Received since all present values were read the last time. */
  private seen = new Set<number>();
  private readonly loop: WorkLoop;
  private reported = '[]';
  private changed: () => void = () => undefined;

  constructor(
    private readonly store: PolicyStore,
    private readonly networks: Pick<Networks, 'setTenantPolicy'>,
    private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.settle(),
      retryMs: () => RETRY_MS,
      failed: (error) => logger.error({ err: error }, 'the egress policy of a tenant could not be put into effect'),
    });
  }

  /** Before the networks of running containers are taken over. */
  async load(): Promise<void> {
    const { values, unreadable } = await this.store.readAll();
    for (const name of unreadable) this.logger.error({ name }, 'the egress policy of a tenant is not readable');
    for (const { tenant, tenantNumber, policy } of values)
      if (policy) this.set(tenantNumber, { tenant, policy, isApplied: false, isStored: true });
    this.loop.start();
  }

  /** Before a container of the tenant is acted on. */
  learn({ tenant, tenantNumber, tenantPolicy: policy }: ContainerConfig): void {
    if (tenantNumber === undefined || policy === undefined) return;
    // Also one that is as old as the known one keeps that: its removal may have begun.
    this.over.delete(tenantNumber);
    const known = this.known.get(tenantNumber);
    if (known !== undefined && known.policy.revision >= policy.revision) return;
    this.set(tenantNumber, { tenant, policy, isApplied: false, isStored: true });
    this.loop.kick();
  }

  /** @param isServed the tenant has a container here, whatever the message says */
  accept({ tenant, tenantNumber, policy }: TenantEgress, isServed: boolean): void {
    this.seen.add(tenantNumber);
    const known = this.known.get(tenantNumber);
    if (policy === undefined) {
      if (known !== undefined && !isServed) this.over.add(tenantNumber);
    } else if (known === undefined || known.policy.revision <= policy.revision) {
      const isApplied = known?.isApplied === true && known.policy.revision === policy.revision;
      this.set(tenantNumber, { tenant, policy, isApplied, isStored: false });
    }
    this.loop.kick();
  }

  /** All present values were received: what did not come is over for tenants that have no container here. */
  caughtUp(isServed: (tenantNumber: number) => boolean): void {
    for (const tenantNumber of this.known.keys())
      if (!this.seen.has(tenantNumber) && !isServed(tenantNumber)) this.over.add(tenantNumber);
    this.seen = new Set();
    this.loop.kick();
  }

  /** Those that hold, and will after a crash. */
  get inEffect(): PolicyInEffect[] {
    return [...this.known].flatMap(([tenantNumber, { policy, isApplied, isStored }]) =>
      isApplied && isStored ? [{ tenantNumber, revision: policy.revision }] : [],
    );
  }

  /** @param changed called when {@link inEffect} has changed */
  onChange(changed: () => void): void {
    this.changed = changed;
  }

  close(): Promise<void> {
    return this.loop.stop();
  }

  private set(tenantNumber: number, known: Known): void {
    this.over.delete(tenantNumber);
    this.known.set(tenantNumber, known);
    if (!known.isApplied) this.apply(tenantNumber, known);
  }

  /** At once: containers of the tenant may be about to start. What fails is tried again. */
  private apply(tenantNumber: number, known: Known): void {
    try {
      this.networks.setTenantPolicy({ tenant: known.tenant, tenantNumber }, known.policy);
      known.isApplied = true;
    } catch (error) {
      this.logger.error({ err: error, tenant: known.tenant }, 'the egress policy of a tenant is not in the rules yet');
    }
  }

  private async settle(): Promise<void> {
    for (const tenantNumber of this.over) {
      const tenant = this.known.get(tenantNumber)?.tenant;
      await this.store.delete(tenantNumber);
      // A container of it has come meanwhile.
      if (!this.over.delete(tenantNumber)) continue;
      this.known.delete(tenantNumber);
      if (tenant !== undefined) this.networks.setTenantPolicy({ tenant, tenantNumber }, undefined);
    }
    for (const [tenantNumber, known] of this.known) {
      if (this.loop.isStopping) return;
      if (!known.isApplied) {
        this.networks.setTenantPolicy({ tenant: known.tenant, tenantNumber }, known.policy);
        known.isApplied = true;
      }
      if (known.isStored) continue;
      await this.store.save({ tenant: known.tenant, tenantNumber, policy: known.policy });
      known.isStored = true;
    }
    const now = JSON.stringify(this.inEffect);
    if (now === this.reported) return;
    this.reported = now;
    this.changed();
  }
}
