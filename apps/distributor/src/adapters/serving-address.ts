/** Which distributor of the node leads: it serves the node's images, and all of them report where. */
import { Inject, Injectable } from '@nestjs/common';
import { readFile, rm } from 'node:fs/promises';
import { type FileLock, tryTransientLock, unlessMissing, writeWhole } from '@plinth/host-os';
import { StorageLayout } from '../domain/storage-layout.js';

@Injectable()
export class ServingAddress {
  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

  /** @returns undefined while another distributor of the node has the lead */
  tryLead(): FileLock | undefined {
    return tryTransientLock(this.layout.lead);
  }

  async store(url: string): Promise<void> {
    await writeWhole(this.layout.servingAddress, url);
  }

  async clear(): Promise<void> {
    await rm(this.layout.servingAddress, { force: true });
  }

  /** @returns undefined: nowhere */
  async read(): Promise<string | undefined> {
    return (await readFile(this.layout.servingAddress, 'utf8').catch(unlessMissing(''))) || undefined;
  }
}
