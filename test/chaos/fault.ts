/** What one fault gets, and what it says of itself. */
import type { Stack } from '../stack.js';
import type { Random } from './random.js';
import type { Rig } from './rig.js';
import type { Workload } from './workload.js';

export interface FaultContext {
  readonly rig: Rig;
  readonly stack: Stack;
  readonly workload: Workload;
  readonly random: Random;
  /** Of what is seen to go wrong at once. */
  readonly report: (violation: string) => void;
}

/** @returns what was done, for the log; undefined: there was nothing that it could be done to */
export type Fault = (context: FaultContext) => Promise<string | undefined>;
