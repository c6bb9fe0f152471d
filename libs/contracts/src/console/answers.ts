/** What the API answers; the OpenAPI document is made from these classes and those of the contracts. */
import { IsArray, IsBoolean, IsIn, IsInt, IsISO8601, IsObject, IsOptional, IsString } from 'class-validator';
import { ContainerDetails, ImageSummary } from '../bus/replies.js';
import { RolloutStatus } from '../bus/rollout-status.js';
import { ContainerStatus, HostStatus, StorageStatus } from '../bus/status.js';
import { CONSOLE_ROLES, type ConsoleRole } from '../console-link.js';
import { IsNullable, Nested, NestedEach } from '../nested.js';

/** Of which time an answer is. */
class OfATime {
  /** Now, or when the bus was lost. */
  @IsISO8601()
  readonly at!: string;

  /** false: the data are old, and `problem` is why. */
  @IsBoolean()
  readonly live!: boolean;

  @IsNullable()
  @IsString()
  readonly problem!: string | null;
}

export class ContainerList extends OfATime {
  @NestedEach(() => ContainerStatus)
  readonly items!: readonly ContainerStatus[];

  /** Of all that fit without `state`, by their state. */
  @IsObject()
  readonly counts!: Readonly<Record<string, number>>;

  /** All that fit. */
  @IsInt()
  readonly total!: number;

  /** Pass it as `cursor` to get the next page; absent on the last. */
  @IsOptional()
  @IsString()
  readonly next?: string;
}

export class ContainerAnswer extends OfATime {
  @Nested(() => ContainerStatus)
  readonly status!: ContainerStatus;

  /** With values of the environment left out; null: the provisioner does not answer. */
  @IsNullable()
  @Nested(() => ContainerDetails)
  readonly details!: ContainerDetails | null;
}

export class HostList extends OfATime {
  @NestedEach(() => HostStatus)
  readonly items!: readonly HostStatus[];
}

export class StorageList extends OfATime {
  @NestedEach(() => StorageStatus)
  readonly items!: readonly StorageStatus[];
}

export class RolloutList extends OfATime {
  @NestedEach(() => RolloutStatus)
  readonly items!: readonly RolloutStatus[];
}

export class ImageList {
  @NestedEach(() => ImageSummary)
  readonly items!: readonly ImageSummary[];
}

export class OverviewReason {
  @IsString()
  readonly message!: string;

  @IsInt()
  readonly containers!: number;
}

export class OverviewAnswer extends OfATime {
  /** By state. */
  @IsObject()
  readonly containers!: Readonly<Record<string, number>>;

  @IsInt()
  readonly unhealthy!: number;

  /** Why containers failed or are lost, most frequent first. */
  @NestedEach(() => OverviewReason)
  readonly reasons!: readonly OverviewReason[];

  /** By state; absent for developers, as the next three. */
  @IsOptional()
  @IsObject()
  readonly hosts?: Readonly<Record<string, number>>;

  @IsOptional()
  @IsObject()
  readonly storage?: Readonly<Record<string, number>>;

  /** Ids of rollouts that go on only when a person approves. */
  @IsOptional()
  @IsArray()
  @IsString({ each: true })
  readonly waitingRollouts?: readonly string[];

  /** null: not known. */
  @IsOptional()
  @IsNullable()
  @IsInt()
  readonly deadLetters?: number | null;
}

export class SessionAnswer {
  @IsString()
  readonly name!: string;

  @IsIn(CONSOLE_ROLES)
  readonly role!: ConsoleRole;

  @IsArray()
  @IsString({ each: true })
  readonly tenants!: readonly string[];
}

export class SignInEntry {
  @IsISO8601()
  readonly at!: string;

  @IsString()
  readonly actor!: string;

  @IsString()
  readonly method!: string;

  @IsString()
  readonly address!: string;

  @IsString()
  readonly outcome!: string;

  @IsNullable()
  @IsString()
  readonly reason!: string | null;
}

export class SignInList {
  @NestedEach(() => SignInEntry)
  readonly items!: readonly SignInEntry[];
}

export class Problem {
  @IsString()
  readonly type!: string;

  @IsInt()
  readonly status!: number;

  @IsString()
  readonly title!: string;

  @IsString()
  readonly detail!: string;

  /** The system's reason code. */
  @IsString()
  readonly reason!: string;
}
