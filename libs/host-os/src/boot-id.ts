import { readFileSync } from 'node:fs';

/** Changes with every start of the machine, random(4). */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
