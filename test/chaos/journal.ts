/**
 * Records what the harness itself did, one line each with the time: requests with every try to publish them, faults,
 * ends that it caused.
 */
import { appendFileSync } from 'node:fs';

export class Journal {
  /** @param path absent: nothing is kept */
  constructor(private readonly path?: string) {}

  write(kind: string, data: object): void {
    if (this.path === undefined) return;
    const line = { at: new Date().toISOString(), kind, ...data };
    appendFileSync(this.path, `${JSON.stringify(line)}\n`);
  }
}
