/** What the API is asked: checked once, at the edge. */
import { IsIn, IsInt, IsOptional, IsString, Matches, Max, MaxLength, Min, MinLength } from 'class-validator';
import { CONTAINER_STATES, type ContainerState } from '../bus/status.js';
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

export class ChangePassword {
  @IsString()
  @MinLength(MIN_PASSWORD_LENGTH)
  @MaxLength(MAX_PASSWORD_LENGTH)
  password!: string;
}
