/**
 * What is left of the networks that this agent's host had before: in docker compose the container that holds a host's
 * network may be made again, and names have a directory for each network.
 */
import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode, isMissing } from '@plinth/host-os';
import { LOG_FILE, PID_FILE, ZONE_SUFFIX } from '@plinth/names';
import { resolverPid } from './resolver-watch.js';

export interface OwnNames {
  /** With one directory for each network. */
  readonly base: string;
  /** Name of that of the present network. */
  readonly present: string;
  /** Distinguishes the agents of one machine. */
  readonly instance: string;
}

/**
 * Takes this agent's names of other networks away, then each directory in which no agent has names and no resolver
 * runs: those of other agents are theirs.
 * @returns whether a resolver is still to end, so that another look is needed
 */
export function removeEarlierNames({ base, present, instance }: OwnNames): boolean {
  let isUnfinished = false;
  for (const name of namesIn(base)) {
    const directory = join(base, name);
    if (name === present || !/^\d+$/.test(name)) continue;
    rmSync(join(directory, `${instance}${ZONE_SUFFIX}`), { force: true });
    if (namesIn(directory).some((file) => file.endsWith(ZONE_SUFFIX))) continue;
    if (resolverPid(directory) !== undefined) {
      isUnfinished = true;
      continue;
    }
    for (const file of [PID_FILE, LOG_FILE]) rmSync(join(directory, file), { force: true });
    try {
      rmdirSync(directory);
    } catch (error) {
      // An agent in that network begins to write, or removes it too.
      if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EBUSY')) throw error;
    }
  }
  return isUnfinished;
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
