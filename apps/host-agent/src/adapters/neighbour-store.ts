/** What is known of the containers of a tenant on other hosts, on disk: `neighbours/<tenant number>-<part>.json`. */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePayload, TenantNeighbours } from '@plinth/contracts';
import { removeTemporaries, writeDurably } from '@plinth/host-os';

type Part = Pick<TenantNeighbours, 'tenantNumber' | 'shard'>;

export const partName = ({ tenantNumber, shard }: Part): string => `${tenantNumber}-${shard}`;
const READ_AT_ONCE = 16;
const FILE = /^\d+-\d+\.json$/;

export class NeighbourStore {
  constructor(private readonly directory: string) {}

  /** @returns also names of files that can't be read: they come again from the bus */
  async readAll(): Promise<{ readonly parts: readonly TenantNeighbours[]; readonly unreadable: readonly string[] }> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    await removeTemporaries(this.directory, 0);
    const parts: TenantNeighbours[] = [];
    const unreadable: string[] = [];
    const names = (await readdir(this.directory)).filter((entry) => FILE.test(entry));
    for (let next = 0; next < names.length; next += READ_AT_ONCE) {
      const some = names.slice(next, next + READ_AT_ONCE);
      const bodies = await Promise.all(some.map((name) => readFile(join(this.directory, name))));
      for (const [index, name] of some.entries()) {
        const decoded = decodePayload(TenantNeighbours, bodies[index] ?? Buffer.alloc(0), 'ignored');
        if (decoded.ok && `${partName(decoded.value)}.json` === name) parts.push(decoded.value);
        else unreadable.push(name);
      }
    }
    return { parts, unreadable };
  }

  /** Survives a power cut once it resolves. */
  save(part: TenantNeighbours): Promise<void> {
    return writeDurably(this.path(part), JSON.stringify(part));
  }

  delete(part: Part): Promise<void> {
    return rm(this.path(part), { force: true });
  }

  private path(part: Part): string {
    return join(this.directory, `${partName(part)}.json`);
  }
}
