/** What questions about tenants are answered with. */
import { ArrayMaxSize, IsBoolean, IsDefined, IsIn, IsInt, IsISO8601, Matches } from 'class-validator';
import { IsCount } from '../rules.js';
import { EgressPolicy } from '../container-network.js';
import { IsNullable, Nested, NestedEach } from '../nested.js';
import { NAME_PATTERN } from '../values.js';

/**
 * `yes`: its host reports the present policy. `no`: not yet. `never`: the network of its host is one of CNI, or the
 * containers have the host's own.
 */
export const POLICY_EFFECTS = ['yes', 'no', 'never'] as const;
export type PolicyEffect = (typeof POLICY_EFFECTS)[number];

/** A host that has containers of the tenant with a network to the outside. */
export class TenantHost {
  @Matches(NAME_PATTERN)
  readonly host!: string;

  /** Containers of the tenant there, for which `effect` is true. */
  @IsCount(1)
  readonly containers!: number;

  @IsIn(POLICY_EFFECTS)
  readonly effect!: PolicyEffect;

  /** It sends heartbeats. */
  @IsBoolean()
  readonly isReady!: boolean;
}

export class TenantDetails {
  @Matches(NAME_PATTERN)
  readonly tenant!: string;

  /** Of its packets; null: no container of it had an address yet. */
  @IsNullable()
  @IsInt()
  readonly number!: number | null;

  /** Not removed, with any network. */
  @IsCount()
  readonly containers!: number;

  @IsDefined()
  @Nested(() => EgressPolicy)
  readonly egress!: EgressPolicy;

  /** Of the policy; 0: it was never set. */
  @IsCount()
  readonly revision!: number;

  @IsNullable()
  @IsISO8601()
  readonly changedAt!: string | null;

  @ArrayMaxSize(20_000)
  @NestedEach(() => TenantHost)
  readonly hosts!: readonly TenantHost[];
}
