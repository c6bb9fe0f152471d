/** Requests about tenants, and the facts that the provisioner publishes. */
import { IsDefined, IsIn, IsOptional, IsString, Matches } from 'class-validator';
import { IsCount, IsText } from '../../rules.js';
import { EgressPolicy } from '../../container-network.js';
import { Nested, NestedEach } from '../../nested.js';
import { NAME_PATTERN, NAME_WORDS } from '../../values.js';
import { Problem } from '../problem.js';

/** `tenant.change.requested`. A tenant needs no container yet: those that it gets later are held to it. */
export class TenantChangeRequested {
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  tenant!: string;

  /** What its containers may reach outside of it, at most: their own policies narrow it. */
  @IsDefined()
  @Nested(() => EgressPolicy)
  egress!: EgressPolicy;
}

/** The policy is decided; `query.tenant` shows which hosts have it in effect. */
export class TenantChanged {
  @Matches(NAME_PATTERN)
  tenant!: string;

  @IsString()
  requestId!: string;

  @IsDefined()
  @Nested(() => EgressPolicy)
  egress!: EgressPolicy;

  @IsCount(1)
  revision!: number;
}

export const TENANT_OPERATIONS = ['change'] as const;
export type TenantOperation = (typeof TENANT_OPERATIONS)[number];
export const TENANT_REJECTION_REASONS = ['invalid-request', 'internal-error'] as const;

/** A request about a tenant was refused; nothing was changed. */
export class TenantRejected {
  @IsIn(TENANT_OPERATIONS)
  operation!: TenantOperation;

  @IsString()
  requestId!: string;

  @IsIn(TENANT_REJECTION_REASONS)
  reason!: (typeof TENANT_REJECTION_REASONS)[number];

  @IsText(4000)
  message!: string;

  @IsOptional()
  @IsString()
  tenant?: string;

  @NestedEach(() => Problem)
  problems!: Problem[];
}
