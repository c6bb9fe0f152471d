/** What one fault receives, and what it returns. */
import type { Stack } from '../stack.js';
import type { Random } from './random.js';
import type { Rig } from './rig.js';
import type { Workload } from './workload.js';

export interface FaultContext {
  readonly rig: Rig;
  readonly stack: Stack;
  readonly workload: Workload;
  readonly random: Random;
  /** Reports a violation that the fault itself notices. */
  readonly report: (violation: string) => void;
}

/** @returns what was done, for the log; undefined: there was no target for it */
export type Fault = (context: FaultContext) => Promise<string | undefined>;
