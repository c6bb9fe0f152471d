/** Answers about versions of images, and what needs them. */
import { IsArray, IsBoolean, IsInt, IsObject, IsString } from 'class-validator';
import { ImageSummary } from '../../bus/replies.js';
import { NestedEach } from '../../nested.js';

export class ImageList {
  @NestedEach(() => ImageSummary)
  readonly items!: readonly ImageSummary[];
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
