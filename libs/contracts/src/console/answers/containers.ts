/** Answers about containers. */
import { IsInt, IsObject, IsOptional, IsString } from 'class-validator';
import { ContainerDetails } from '../../bus/replies.js';
import { ContainerStatus } from '../../bus/status.js';
import { IsNullable, Nested, NestedEach } from '../../nested.js';
import { OfATime } from './answer-time.js';

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
