/** What the API answers; the OpenAPI document is made from these classes and those of the contracts. */
import { IsArray, IsBoolean, IsIn, IsInt, IsISO8601, IsObject, IsOptional, IsString } from 'class-validator';
import { ContainerDetails, ImageSummary, RolloutDetails } from '../bus/replies.js';
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

export class RolloutAnswer extends OfATime {
  @Nested(() => RolloutStatus)
  readonly status!: RolloutStatus;

  /** With its first containers; null: the provisioner does not answer. */
  @IsNullable()
  @Nested(() => RolloutDetails)
  readonly details!: RolloutDetails | null;
}

/** What needs an image version. */
export class ImageUsesAnswer {
  @IsString()
  readonly image!: string;

  @IsString()
  readonly state!: string;

  @IsBoolean()
  readonly defaultVersion!: boolean;

  @IsInt()
  readonly containers!: number;

  /** Containers by tenant, and by host. */
  @IsObject()
  readonly tenants!: Readonly<Record<string, number>>;

  @IsObject()
  readonly hosts!: Readonly<Record<string, number>>;

  /** Ids of rollouts that go to it or come from it. */
  @IsArray()
  @IsString({ each: true })
  readonly rollouts!: readonly string[];
}

/** One message of the bus's stream of requests and facts. */
export class EventEntry {
  /** Its place in the stream. */
  @IsInt()
  readonly sequence!: number;

  @IsString()
  readonly subject!: string;

  @IsString()
  readonly id!: string;

  @IsISO8601()
  readonly time!: string;

  /** Id of the request that began it all. */
  @IsString()
  readonly correlationId!: string;

  /** Id of the event that caused it. */
  @IsNullable()
  @IsString()
  readonly causationId!: string | null;

  /** Who asked, as the sender claims; of requests. */
  @IsNullable()
  @IsString()
  readonly actor!: string | null;

  @IsString()
  readonly source!: string;

  /** As it came, without values of environments; what is long is left out. */
  @IsObject()
  readonly data!: Readonly<Record<string, unknown>>;
}

/** Of the last events that the console keeps, newest first. */
export class EventList {
  @NestedEach(() => EventEntry)
  readonly items!: readonly EventEntry[];

  @IsOptional()
  @IsString()
  readonly next?: string;

  /** Nothing older is kept. */
  @IsInt()
  readonly oldest!: number;
}

export const REQUEST_STATES = ['pending', 'done', 'failed', 'refused'] as const;
export type RequestState = (typeof REQUEST_STATES)[number];

/** Who did what to what, and what became of it. */
export class AuditEntry {
  @IsInt()
  readonly sequence!: number;

  @IsISO8601()
  readonly at!: string;

  @IsString()
  readonly actor!: string;

  /** `session`, `token`, or `bus`: seen there, by the actor that its sender claims. */
  @IsString()
  readonly via!: string;

  @IsNullable()
  @IsString()
  readonly address!: string | null;

  @IsString()
  readonly act!: string;

  @IsNullable()
  @IsString()
  readonly target!: string | null;

  @IsNullable()
  @IsString()
  readonly tenant!: string | null;

  /** Event id; null: nothing was published. */
  @IsNullable()
  @IsString()
  readonly requestId!: string | null;

  /** What the person gave as the reason. */
  @IsNullable()
  @IsString()
  readonly why!: string | null;

  @IsIn(REQUEST_STATES)
  readonly outcome!: RequestState;

  /** Reason code of what failed or was refused. */
  @IsNullable()
  @IsString()
  readonly reason!: string | null;

  @IsNullable()
  @IsString()
  readonly message!: string | null;

  @IsNullable()
  @IsISO8601()
  readonly endedAt!: string | null;
}

export class AuditList {
  /** Newest first. */
  @NestedEach(() => AuditEntry)
  readonly items!: readonly AuditEntry[];

  @IsOptional()
  @IsString()
  readonly next?: string;
}

export class RequestAnswer {
  /** Event id of the request. */
  @IsString()
  readonly id!: string;

  @IsString()
  readonly act!: string;

  @IsNullable()
  @IsString()
  readonly target!: string | null;

  @IsNullable()
  @IsString()
  readonly tenant!: string | null;

  @IsString()
  readonly actor!: string;

  @IsISO8601()
  readonly at!: string;

  @IsIn(REQUEST_STATES)
  readonly state!: RequestState;

  @IsNullable()
  @IsString()
  readonly reason!: string | null;

  @IsNullable()
  @IsString()
  readonly message!: string | null;

  @IsNullable()
  @IsISO8601()
  readonly endedAt!: string | null;

  /** What it led to, of the last events that the console keeps, oldest first. */
  @NestedEach(() => EventEntry)
  readonly events!: readonly EventEntry[];
}

export class DeadLetterEntry {
  @IsInt()
  readonly sequence!: number;

  @IsString()
  readonly service!: string;

  @IsISO8601()
  readonly storedAt!: string;

  @IsString()
  readonly subject!: string;

  @IsString()
  readonly eventId!: string;

  @IsString()
  readonly reason!: string;

  @IsInt()
  readonly attempts!: number;

  /** Why it can't be sent again; null: it can. */
  @IsNullable()
  @IsString()
  readonly notReplayable!: string | null;
}

export class DeadLetterList {
  @NestedEach(() => DeadLetterEntry)
  readonly items!: readonly DeadLetterEntry[];
}

export class TokenEntry {
  @IsString()
  readonly id!: string;

  @IsString()
  readonly name!: string;

  /** Who made it. */
  @IsString()
  readonly owner!: string;

  @IsIn(CONSOLE_ROLES)
  readonly role!: ConsoleRole;

  @IsArray()
  @IsString({ each: true })
  readonly tenants!: readonly string[];

  @IsISO8601()
  readonly createdAt!: string;

  @IsISO8601()
  readonly endsAt!: string;

  @IsNullable()
  @IsISO8601()
  readonly usedAt!: string | null;

  @IsNullable()
  @IsISO8601()
  readonly revokedAt!: string | null;
}

export class TokenList {
  @NestedEach(() => TokenEntry)
  readonly items!: readonly TokenEntry[];
}

export class TokenMade {
  /** Shown once: `Authorization: Bearer …`. */
  @IsString()
  readonly token!: string;

  @Nested(() => TokenEntry)
  readonly entry!: TokenEntry;
}

export class UserEntry {
  @IsString()
  readonly name!: string;

  @IsIn(CONSOLE_ROLES)
  readonly role!: ConsoleRole;

  @IsArray()
  @IsString({ each: true })
  readonly tenants!: readonly string[];

  @IsBoolean()
  readonly disabled!: boolean;

  /** false: only links sign the person in. */
  @IsBoolean()
  readonly hasPassword!: boolean;

  /** That are open. */
  @IsInt()
  readonly sessions!: number;

  @IsNullable()
  @IsISO8601()
  readonly usedAt!: string | null;

  @IsISO8601()
  readonly createdAt!: string;
}

export class UserList {
  @NestedEach(() => UserEntry)
  readonly items!: readonly UserEntry[];
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
