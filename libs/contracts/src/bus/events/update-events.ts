/**
 * Changing the OS under a container: one config property and a restart, judged by a gate and a soak time, and reverted
 * to the last known good version when it fails (US 9,075,638; US 11,714,631 for the soak time).
 */
import { IsBoolean, IsIn, IsInt, IsNumber, IsOptional, Matches, Min } from 'class-validator';
import { EXACT_IMAGE_REF_PATTERN, ID_PATTERN } from '../../values.js';
import { IsSeconds, IsText } from '../../rules.js';
import { CONTAINER_FAILURE_REASONS, ContainerFact, type ContainerFailureReason } from './container-facts.js';
import { ContainerActionRequested } from './container-requests.js';

/** `to` that stands for the newest version on which the container stayed healthy, other than the one it is on. */
export const KNOWN_GOOD = 'known-good';
/**
 * `debian-12`, `debian-12@v3` or `known-good`: the name of an image that is called so can't be updated to without its
 * version.
 */
export const UPDATE_TARGET_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:@v[1-9][0-9]{0,8})?$/;

/** How an update is judged. */
export class UpdateOptions {
  /** Seconds that the container has to stay up to pass the gate when it has no health check; absent: 5. */
  @IsSeconds(0, 3600)
  stableSeconds?: number;

  /** Seconds after the gate until the version counts as known good; absent: 60. */
  @IsSeconds(0, 30 * 86_400)
  soakSeconds?: number;

  /** Copy the data volume before the switch, and put the copy back before the old version starts again. */
  @IsOptional()
  @IsBoolean()
  snapshotData?: boolean;
}

/** Asks for one container to move to another image. */
export class ContainerUpdateRequested extends ContainerActionRequested {
  /** `debian-12` (its default version), `debian-12@v3`, or `known-good`. */
  @Matches(UPDATE_TARGET_PATTERN, {
    message: 'to must be a name, a name and a version such as debian-12@v3, or known-good',
  })
  to!: string;

  @IsSeconds(0, 3600)
  stableSeconds?: number;

  @IsSeconds(0, 30 * 86_400)
  soakSeconds?: number;

  @IsOptional()
  @IsBoolean()
  snapshotData?: boolean;
}

class ContainerUpdateFact extends ContainerFact {
  @Matches(ID_PATTERN)
  updateId!: string;

  @IsOptional()
  @Matches(ID_PATTERN)
  rolloutId?: string;
}

/** The container passed gate and soak time: its image is known good now. */
export class ContainerUpdated extends ContainerUpdateFact {
  /** The image before. */
  @Matches(EXACT_IMAGE_REF_PATTERN)
  from!: string;
}

/** The update failed; the container runs on its known good image (`image`) again. */
export class ContainerReverted extends ContainerUpdateFact {
  /** The image that failed. */
  @Matches(EXACT_IMAGE_REF_PATTERN)
  failedImage!: string;

  @IsIn(CONTAINER_FAILURE_REASONS)
  reason!: ContainerFailureReason;

  @IsText(4000)
  message!: string;

  @IsOptional()
  @IsInt()
  exitCode?: number;

  /** Last lines of the failed run's log. */
  @IsOptional()
  @IsText(16_384)
  logTail?: string;

  /** What the failing health check printed. */
  @IsOptional()
  @IsText(4000)
  checkOutput?: string;

  /** The gate's verdict → running on the known good image, milliseconds. */
  @IsOptional()
  @IsNumber()
  @Min(0)
  durationMs?: number;
}
