/** How a container's first process is run, as replies about images describe it. */
import { ArrayMaxSize, IsArray, IsDefined, IsIn, IsInt, IsString, Matches, Max } from 'class-validator';
import { IsCount, IsText } from '../rules.js';
import { MANIFEST_LIMITS } from '../image/manifest-limits.js';
import { EXPOSED_PORT_PATTERN, IMAGE_USER_PATTERN, MAX_EXPOSED_PORTS } from '../image/run-settings.js';
import { IsNullable, Nested } from '../nested.js';

export class ProcessUserReply {
  /** As the recipe or the image's source wrote it, such as `www-data`. */
  @Matches(IMAGE_USER_PATTERN)
  readonly name!: string;

  @IsCount()
  @Max(MANIFEST_LIMITS.ownerId)
  readonly uid!: number;

  @IsCount()
  @Max(MANIFEST_LIMITS.ownerId)
  readonly gid!: number;

  @IsArray()
  @IsInt({ each: true })
  readonly additionalGids!: readonly number[];
}

/** What an image's manifest holds beside its command. */
export class ProcessSummary {
  /** Words before every command; empty: none. */
  @IsArray()
  @IsString({ each: true })
  readonly entrypoint!: readonly string[];

  @IsText(4096)
  readonly workingDirectory!: string;

  /** null: root. */
  @IsNullable()
  @Nested(() => ProcessUserReply)
  readonly user!: ProcessUserReply | null;

  @IsText(100)
  readonly stopSignal!: string;

  /** `setuid`: set-user-id files and file capabilities take effect. */
  @IsNullable()
  @IsIn(['setuid'])
  readonly privileges!: 'setuid' | null;

  /** Such as `80/tcp`: what the image declares to listen on; nothing is opened by it. */
  @IsArray()
  @ArrayMaxSize(MAX_EXPOSED_PORTS)
  @Matches(EXPOSED_PORT_PATTERN, { each: true })
  readonly exposedPorts!: readonly string[];
}

/** The process of a start that is only planned. */
export class PlannedProcess {
  @IsDefined()
  @Nested(() => ProcessUserReply)
  readonly user!: ProcessUserReply;

  /** As in {@link ProcessSummary}. */
  @IsArray()
  @ArrayMaxSize(MAX_EXPOSED_PORTS)
  @Matches(EXPOSED_PORT_PATTERN, { each: true })
  readonly exposedPorts!: readonly string[];
}
