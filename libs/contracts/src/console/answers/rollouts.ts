/** Answers about rollouts. */
import { RolloutDetails } from '../../bus/replies.js';
import { RolloutStatus } from '../../bus/rollout-status.js';
import { IsNullable, Nested, NestedEach } from '../../nested.js';
import { OfATime } from './answer-time.js';

export class RolloutList extends OfATime {
  @NestedEach(() => RolloutStatus)
  readonly items!: readonly RolloutStatus[];
}

export class RolloutAnswer extends OfATime {
  @Nested(() => RolloutStatus)
  readonly status!: RolloutStatus;

  /** With its first containers; null: the provisioner does not answer. */
  @IsNullable()
  @Nested(() => RolloutDetails)
  readonly details!: RolloutDetails | null;
}
