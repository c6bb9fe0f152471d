/** `lab.json`: what of a lab runs, for the operator's tool; replaced as a whole. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessIdentity } from '@plinth/local-servers';
import type { NetworkFault } from './network-faults.js';
import type { PlannedMachine } from './plan.js';

export interface RecordedMachine extends PlannedMachine {
  /** Its first process; absent: it has no power. */
  readonly first?: ProcessIdentity;
}

export interface LabFile {
  /** Names its cgroups. */
  readonly id: string;
  /** First process of the lab; absent while it starts. */
  readonly first?: ProcessIdentity;
  readonly machines: readonly RecordedMachine[];
  readonly faults: readonly NetworkFault[];
  readonly shares: readonly string[];
  readonly diskMebibytes: number;
}

export function readLabFile(directory: string): LabFile | undefined {
  const file = join(directory, 'lab.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LabFile) : undefined;
}

export function writeLabFile(directory: string, lab: LabFile): void {
  const fresh = join(directory, `.lab.json.${process.pid}`);
  writeFileSync(fresh, `${JSON.stringify(lab, null, 2)}\n`, { mode: 0o600 });
  renameSync(fresh, join(directory, 'lab.json'));
}
