/** What all containers of a tenant may reach outside of it, whatever their own policies permit. */
import { IsOptional, Matches, Max } from 'class-validator';
import { IsCount } from './rules.js';
import { EgressPolicy, MAX_TENANT_NUMBER } from './container-network.js';
import { Nested } from './nested.js';
import { NAME_PATTERN } from './values.js';

/** A policy of a tenant, and which one of all that it has had. */
export class TenantPolicy extends EgressPolicy {
  /** Grows with every change. */
  @IsCount(1)
  revision!: number;
}

/**
 * `desired.host.<host>.tenant.<tenantNumber>.egress`: every host that has a container of the tenant with an address,
 * once the tenant had a policy. A packet has to be permitted by it and by the container's own policy.
 */
export class TenantEgress {
  @Matches(NAME_PATTERN)
  tenant!: string;

  @IsCount(1)
  @Max(MAX_TENANT_NUMBER)
  tenantNumber!: number;

  /** Absent: the host has no container of the tenant any more. */
  @IsOptional()
  @Nested(() => TenantPolicy)
  policy?: TenantPolicy;
}
