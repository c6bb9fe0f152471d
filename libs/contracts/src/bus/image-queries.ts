/** Questions about what an image is made of, answered by the image-builder with what stands in `image-replies.ts`. */
import { IsOptional, Matches, Max } from 'class-validator';
import { IsCount } from '../rules.js';
import { Nested } from '../nested.js';
import { ContainerConfig } from '../container-config.js';
import { IMAGE_REF_PATTERN } from '../values.js';

/** `query.image.diff` → ImageDiff. A name alone stands for its newest version. */
export class ImageDiffQuery {
  @Matches(IMAGE_REF_PATTERN)
  from!: string;

  @Matches(IMAGE_REF_PATTERN)
  to!: string;

  /** Files of the reply at the most; absent: as many as fit. */
  @IsOptional()
  @IsCount()
  @Max(10_000)
  limit?: number;

  /** Cursor of the reply before: the files go on from there. */
  @IsOptional()
  @Matches(/^\d{1,7}$/)
  cursor?: string;
}

/** `query.image.plan` → ImagePlan: what a start would do. Nothing is run or mounted. */
export class ImagePlanQuery {
  /** A name alone stands for its newest version. */
  @Matches(IMAGE_REF_PATTERN)
  image!: string;

  /** Request for the container that would be started; absent: one that asks for nothing. Its own image is ignored. */
  @IsOptional()
  @Nested(() => ContainerConfig)
  config?: ContainerConfig;
}
