/** What the API is asked: checked once, at the edge. */
import {
  ArrayMaxSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  MinLength,
} from 'class-validator';
import { CONTAINER_STATES, type ContainerState } from '../bus/status.js';
import { CONSOLE_ROLES, type ConsoleRole } from '../console-link.js';
import { IMAGE_REF_PATTERN, NAME_PATTERN } from '../values.js';

/** Kinds of last values that the console shows. */
export const CONSOLE_TOPICS = ['containers', 'hosts', 'storage', 'rollouts', 'builds'] as const;
export type ConsoleTopic = (typeof CONSOLE_TOPICS)[number];
export const MIN_PASSWORD_LENGTH = 12;
export const MAX_PASSWORD_LENGTH = 1_000;

export class ListContainers {
  @IsOptional()
  @IsIn(CONTAINER_STATES)
  state?: ContainerState;

  /** `debian-12` (any version) or `debian-12@v3`. */
  @IsOptional()
  @Matches(IMAGE_REF_PATTERN)
  image?: string;

  @IsOptional()
  @Matches(NAME_PATTERN)
  host?: string;

  @IsOptional()
  @Matches(NAME_PATTERN)
  tenant?: string;

  /** `field:value -field:value text`, as on the page. */
  @IsOptional()
  @IsString()
  @MaxLength(500)
  q?: string;

  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(500)
  limit?: number;

  /** `next` of the page before. */
  @IsOptional()
  @Matches(/^[A-Za-z0-9_-]{1,400}$/)
  cursor?: string;
}

export class OpenStream {
  /** Comma-separated; absent: all that the role may see. */
  @IsOptional()
  @Matches(
    new RegExp(`^(?:${CONSOLE_TOPICS.join('|')})(?:,(?:${CONSOLE_TOPICS.join('|')})){0,${CONSOLE_TOPICS.length - 1}}$`),
  )
  topics?: string;

  /** Where a reader goes on that can't send the header `Last-Event-ID`. */
  @IsOptional()
  @IsString()
  @MaxLength(100)
  from?: string;
}

export const MAX_LOG_LINES = 10_000;
export const DEFAULT_LOG_LINES = 200;

export class ReadLogs {
  /** Last lines; of long ones fewer. */
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(MAX_LOG_LINES)
  tail?: number;

  /** Then what is written, as server-sent events, until the container is gone. */
  @IsOptional()
  @IsBoolean()
  follow?: boolean;
}

export function topicsOf({ topics }: OpenStream): readonly ConsoleTopic[] {
  const wanted = topics?.split(',');
  return CONSOLE_TOPICS.filter((topic) => wanted?.includes(topic) ?? true);
}

/** Either a one-time link, or name and password. */
export class BeginSession {
  @IsOptional()
  @IsString()
  @MaxLength(4_096)
  link?: string;

  @IsOptional()
  @IsString()
  @MaxLength(63)
  name?: string;

  @IsOptional()
  @IsString()
  @MaxLength(MAX_PASSWORD_LENGTH)
  password?: string;
}

export class BeginProviderSignIn {
  /** Path of the view to go on with; absent: `/`. */
  @IsOptional()
  @IsString()
  @MaxLength(1_000)
  return?: string;
}

export class EndProviderSignIn {
  /** Of the address to which the provider sent the browser: `?code=…&state=…`. */
  @IsString()
  @MaxLength(8_192)
  query!: string;
}

export class ChangePassword {
  @IsString()
  @MinLength(MIN_PASSWORD_LENGTH)
  @MaxLength(MAX_PASSWORD_LENGTH)
  password!: string;
}

/** Seconds that a request may wait for its outcome. */
export const MAX_WAIT_SECONDS = 30;
/** Becomes the event's id on the bus. */
export const IDEMPOTENCY_KEY_PATTERN = /^[A-Za-z0-9_-]{8,100}$/;
export const MAX_WHY_LENGTH = 500;

export class WaitQuery {
  /** Seconds to hold the answer for the outcome; absent: 0. */
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(MAX_WAIT_SECONDS)
  wait?: number;
}

class CursorQuery {
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(500)
  limit?: number;

  /** `next` of the page before. */
  @IsOptional()
  @Matches(/^\d{1,15}$/, { message: 'cursor must be next of the page before' })
  cursor?: string;
}

export class ListAudit extends CursorQuery {
  @IsOptional()
  @IsString()
  @MaxLength(200)
  actor?: string;

  /** `container.stop`, or `container` for all about containers. */
  @IsOptional()
  @Matches(/^[a-z-]+(?:\.[a-z-]+)?$/)
  act?: string;

  @IsOptional()
  @IsString()
  @MaxLength(200)
  target?: string;

  @IsOptional()
  @Matches(NAME_PATTERN)
  tenant?: string;

  @IsOptional()
  @IsIn(['pending', 'done', 'failed', 'refused'])
  outcome?: 'pending' | 'done' | 'failed' | 'refused';
}

export class ListEvents extends CursorQuery {
  /** NATS subject, wildcards allowed. */
  @IsOptional()
  @Matches(/^(?:[a-z-]+|\*)(?:\.(?:[a-z-]+|\*)){0,5}(?:\.>)?$|^>$/, {
    message: 'subject must be one, such as container.*',
  })
  subject?: string;

  @IsOptional()
  @Matches(NAME_PATTERN)
  tenant?: string;

  /** Everything that a request led to. */
  @IsOptional()
  @IsString()
  @MaxLength(200)
  correlation?: string;

  /** Looked for in subject, names, hosts, images and messages. */
  @IsOptional()
  @IsString()
  @MaxLength(200)
  q?: string;
}

class Granted {
  @IsIn(CONSOLE_ROLES)
  role!: ConsoleRole;

  /** Of a developer. */
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(32)
  @Matches(NAME_PATTERN, { each: true })
  tenants?: string[];
}

export class CreateToken extends Granted {
  /** What it is for. */
  @Matches(NAME_PATTERN)
  name!: string;

  /** Until it ends; absent: 90. */
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(366)
  days?: number;
}

export class CreateUser extends Granted {
  @Matches(NAME_PATTERN)
  name!: string;

  /** Absent: only links sign the person in. */
  @IsOptional()
  @IsString()
  @MinLength(MIN_PASSWORD_LENGTH)
  @MaxLength(MAX_PASSWORD_LENGTH)
  password?: string;
}

/** What is absent stays. With another role, other tenants or another password all sessions of the person end. */
export class ChangeUser {
  @IsOptional()
  @IsIn(CONSOLE_ROLES)
  role?: ConsoleRole;

  @IsOptional()
  @IsArray()
  @ArrayMaxSize(32)
  @Matches(NAME_PATTERN, { each: true })
  tenants?: string[];

  @IsOptional()
  @IsBoolean()
  disabled?: boolean;

  @IsOptional()
  @IsString()
  @MinLength(MIN_PASSWORD_LENGTH)
  @MaxLength(MAX_PASSWORD_LENGTH)
  password?: string;
}
