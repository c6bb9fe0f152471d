/** Starts a program on a machine for good, and waits until its log says that it is ready. */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DATA } from '../machine-root.js';
import type { Machine } from '../machine.js';
import { LabError } from '../plan.js';

export const LOGS = join(DATA, 'logs');
const PAUSE_MS = 40;
const PATIENCE_MS = 180_000;
const TAIL_LINES = 8;
/** The level `fatal` of a service, or what it prints when its configuration is wrong. */
const ENDED = /"level":"?(?:60|fatal)|is not usable/;

/** @throws LabError with the end of its log when it does not become ready */
export async function launch(
  machine: Machine,
  id: string,
  argv: readonly string[],
  ready: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  mkdirSync(machine.path(LOGS), { recursive: true });
  const path = machine.path(join(LOGS, `${id}.log`));
  const begin = existsSync(path) ? readFileSync(path).length : 0;
  const log = openSync(path, 'a', 0o600);
  let hasEnded = false;
  try {
    const child = machine.spawn(argv, { env, stdio: ['ignore', log, log], detached: true });
    child.once('exit', () => (hasEnded = true));
    child.unref();
  } finally {
    closeSync(log);
  }
  for (const end = performance.now() + PATIENCE_MS; ; await pause(PAUSE_MS)) {
    if (machine.state === 'off') throw new LabError(`${machine.name} lost its power while ${id} started`);
    const printed = readFileSync(path).subarray(begin).toString();
    if (printed.includes(ready)) return;
    if (performance.now() > end || hasEnded || ENDED.test(printed))
      throw new LabError(`${id} did not start:\n${printed.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')}`);
  }
}
