/** What a plan for a container is made from. */
import type { ContainerConfig } from '@plinth/contracts';
import type { MissingImage } from './image-supply.js';
import type { Health, LocalRecord } from './local-record.js';
import type { Observed } from './observed.js';

export interface PlanInput {
  readonly config: ContainerConfig;
  /** The config as it was requested, when another one is planned for meanwhile; absent: that one. */
  readonly asked?: ContainerConfig;
  readonly observed: Observed;
  readonly record: LocalRecord;
  readonly nowMs: number;
  /** The lease under which the open run was started is no longer held, or is held in a new term. */
  readonly leaseLost?: boolean;
  /** This process has sent the stop signal that `record.stop` is about. */
  readonly isSignalled?: boolean;
  /** Health according to the checks; the record is updated from it. */
  readonly health?: Health;
  /** Images of its config that this host has to fetch first, by name; absent: none. */
  readonly missing?: ReadonlyMap<string, MissingImage>;
}
