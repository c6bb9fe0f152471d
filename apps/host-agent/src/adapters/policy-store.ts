/** What containers of each tenant may reach, on disk: `policies/<tenant number>.json`. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePayload, TenantEgress } from '@plinth/contracts';
import { removeTemporaries, writeDurably } from '@plinth/host-os';

const FILE = /^\d+\.json$/;

export class PolicyStore {
  constructor(private readonly directory: string) {}

  /** @returns also names of files that can't be read: they come again from the bus */
  async readAll(): Promise<{ readonly values: readonly TenantEgress[]; readonly unreadable: readonly string[] }> {
    await removeTemporaries(this.directory, 0);
    const values: TenantEgress[] = [];
    const unreadable: string[] = [];
    for (const name of (await readdir(this.directory)).filter((entry) => FILE.test(entry))) {
      const decoded = decodePayload(TenantEgress, await readFile(join(this.directory, name)), 'ignored');
      if (decoded.ok && this.pathOf(decoded.value.tenantNumber) === join(this.directory, name))
        values.push(decoded.value);
      else unreadable.push(name);
    }
    return { values, unreadable };
  }

  /** Survives a power cut once it resolves. */
  save(value: TenantEgress): Promise<void> {
    return writeDurably(this.pathOf(value.tenantNumber), JSON.stringify(value));
  }

  delete(tenantNumber: number): Promise<void> {
    return rm(this.pathOf(tenantNumber), { force: true });
  }

  private pathOf(tenantNumber: number): string {
    return join(this.directory, `${tenantNumber}.json`);
  }
}
