/** Questions on core NATS; what they are answered with stands in `replies.ts`. */
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsBoolean,
  IsDefined,
  IsIn,
  IsNumber,
  IsOptional,
  Matches,
  Max,
  Min,
} from 'class-validator';
import { Nested, NestedEach } from '../nested.js';
import { IsCommand, IsCount, IsEnvironment, IsText } from '../rules.js';
import { ContainerRequested } from './events/container-requests.js';
import { RebalanceOptions } from './events/rebalance-events.js';
import { CONTAINER_STATES, type ContainerState } from './status.js';
import { EXACT_IMAGE_REF_PATTERN, ID_PATTERN, IMAGE_REF_PATTERN, NAME_PATTERN, NAME_WORDS } from '../values.js';

class PagedQuery {
  /** Cursor of the page before. */
  @IsOptional()
  @IsText(200)
  cursor?: string;

  @IsOptional()
  @IsCount(1)
  @Max(500)
  limit?: number;
}

/** `query.containers` → Page<ContainerStatus>, oldest first. Removed ones only when asked for. */
export class ContainersQuery extends PagedQuery {
  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  tenant?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  name?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  host?: string;

  @IsOptional()
  @IsIn(CONTAINER_STATES)
  state?: ContainerState;

  /** The first digits of their ids. */
  @IsOptional()
  @Matches(/^[0-9a-f]{1,32}$/, { message: 'must be the first hexadecimal digits of an id' })
  idPrefix?: string;

  @IsOptional()
  @IsBoolean()
  all?: boolean;

  /** `debian-12` (any version) or `debian-12@v3`: the image they are on. */
  @IsOptional()
  @Matches(IMAGE_REF_PATTERN)
  image?: string;

  /**
   * `debian-12@v3`: those that are on it (by their config, or as their host last reported), are going back to it, or
   * have it as known good.
   */
  @IsOptional()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  needs?: string;
}

/** `query.container` → ContainerDetails. By id, or by name within a tenant. */
export class ContainerQuery {
  @IsOptional()
  @Matches(ID_PATTERN)
  id?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  name?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  tenant?: string;

  /** Answer as soon as the container made by this request is known. */
  @IsOptional()
  @IsText(200)
  requestId?: string;
}

/** `query.images` → Page<ImageSummary>. */
export class ImagesQuery extends PagedQuery {
  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  name?: string;
}

/** `query.hosts` → Page<HostStatus>; `query.storage` → Page<StorageStatus>. */
export class HostsQuery extends PagedQuery {}
export class StorageQuery extends PagedQuery {}

/** `query.rollouts` → Page<RolloutStatus>, newest first. */
export class RolloutsQuery extends PagedQuery {
  /** Include rollouts that have ended. */
  @IsOptional()
  @IsBoolean()
  all?: boolean;
}

/** `query.rollout` → RolloutDetails. */
export class RolloutQuery {
  @IsOptional()
  @Matches(ID_PATTERN)
  id?: string;

  /** Event id of the request that started it. */
  @IsOptional()
  @IsText(200)
  requestId?: string;
}

/** `query.rollout.members` → Page<RolloutMember>, in the order in which the rollout takes them. */
export class RolloutMembersQuery extends PagedQuery {
  @Matches(ID_PATTERN)
  id!: string;
}

/** `query.tenant` → TenantDetails; also of a tenant that has nothing yet. */
export class TenantQuery {
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  tenant!: string;
}

/** `query.placement` → PlacementPreview: where the request would be placed now. Nothing is reserved or written. */
export class PlacementQuery {
  @IsDefined()
  @Nested(() => ContainerRequested)
  request!: ContainerRequested;

  /** Explain this host, too. */
  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  host?: string;
}

/** `query.rebalance.plan` → RebalancePlan: what a rebalance would do now. Nothing is reserved or written. */
export class RebalancePlanQuery extends RebalanceOptions {}

/** `query.rebalance` → RebalanceDetails. */
export class RebalanceQuery {
  /** Absent: the newest. */
  @IsOptional()
  @Matches(ID_PATTERN)
  id?: string;
}

/** `query.build` → BuildDetails, answered by the image-builder. */
export class BuildQuery {
  @Matches(EXACT_IMAGE_REF_PATTERN)
  image!: string;
}

/**
 * `agent.<host>.exec`. The reply is a stream of messages on the reply subject: header `Plinth-Stream` is `stdout` or
 * `stderr` (body: bytes) or `exit` (body: QueryReply<{exitCode}>, the last message). A message with a reply subject is
 * a probe: answer it with an empty message, else the command is ended after 15 seconds.
 */
export class ExecQuery {
  @Matches(ID_PATTERN)
  containerId!: string;

  @IsCommand()
  command!: readonly string[];

  @IsOptional()
  @IsEnvironment()
  env?: Readonly<Record<string, string>>;

  /** Standard input, base64. */
  @IsOptional()
  @IsText(512 * 1024)
  stdin?: string;

  /** Seconds; absent: 3600. */
  @IsOptional()
  @IsNumber()
  @Min(1)
  @Max(86_400)
  timeoutSeconds?: number;
}

/**
 * `agent.<host>.logs`. Same stream form as exec, with `stdout`/`stderr` chunks of whole lines and an `exit` at the end;
 * with `follow` it ends when the container is removed or when the reply subject has no listener any more. No more is
 * sent than the requester takes: it answers a message that has a reply subject with the number of the last message that
 * it has taken ({@link PLACE_HEADER}); an empty answer stands for the number of the message that it answers.
 */
export class LogsQuery {
  @Matches(ID_PATTERN)
  containerId!: string;

  @IsOptional()
  @IsBoolean()
  follow?: boolean;

  /** Last lines only; absent: all that is kept. */
  @IsOptional()
  @IsCount()
  @Max(100_000)
  tail?: number;

  @IsOptional()
  @IsBoolean()
  timestamps?: boolean;
}

/** `agent.<host>.stats` → ContainerStats[]. */
export class StatsQuery {
  @IsOptional()
  @Matches(ID_PATTERN)
  containerId?: string;
}

/** Header names of streamed replies. */
export const STREAM_HEADER = 'Plinth-Stream';
/** Number of a message of a streamed reply, from 1; of one without output, which asks or ends, that of the last before it. */
export const PLACE_HEADER = 'Plinth-Place';

/** A dead letter by its place; with its id, for places are used again when the bus has lost its store. */
export class DeadLetterRef {
  @IsCount(1)
  sequence!: number;

  @IsText(200)
  id!: string;
}

/** `deadletters.drop` → DroppedDeadLetters. Those that are gone already are no error. */
export class DropDeadLetters {
  @ArrayMinSize(1)
  @ArrayMaxSize(500)
  @NestedEach(() => DeadLetterRef)
  letters!: readonly DeadLetterRef[];
}

/** A request below `consumers.` → OpenedConsumers. Its body is empty: the asker's name is in the subject. */
export class ConsumersQuery {}

export class EventConsumersQuery {
  /** Position of the first event; absent: those that are published from now on. */
  @IsOptional()
  @IsCount(1)
  from?: number;
}
