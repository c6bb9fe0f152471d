/** Desired state and local record of each container on disk: `containers/<id>/{config,record}.json`. */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ContainerConfig, decodePayload, ID_PATTERN, type Problem } from '@plinth/contracts';
import type { LocalRecord } from '../domain/local-record.js';
import { isMissing, removeTemporaries, syncPath, writeDurably, writeWhole } from '@plinth/host-os';

const READ_AT_ONCE = 16;

export interface StoredContainer {
  readonly config: ContainerConfig;
  /** Absent: lost, or never written. */
  readonly record?: LocalRecord;
}

export interface UnreadableContainer {
  readonly id: string;
  readonly problems: readonly Problem[];
}

export class ContainerStore {
  private readonly made = new Set<string>();

  constructor(private readonly directory: string) {}

  async readAll(): Promise<{
    readonly containers: readonly StoredContainer[];
    readonly unreadable: readonly UnreadableContainer[];
  }> {
    const containers: StoredContainer[] = [];
    const unreadable: UnreadableContainer[] = [];
    const ids = (await readdir(this.directory)).filter((name) => ID_PATTERN.test(name));
    for (let next = 0; next < ids.length; next += READ_AT_ONCE) {
      const found = await Promise.all(ids.slice(next, next + READ_AT_ONCE).map((id) => this.read(id)));
      for (const one of found)
        if (one !== undefined) {
          if ('problems' in one) unreadable.push(one);
          else containers.push(one);
        }
    }
    return { containers, unreadable };
  }

  private async read(id: string): Promise<StoredContainer | UnreadableContainer | undefined> {
    await removeTemporaries(join(this.directory, id), 0);
    const body = await readOptional(this.path(id, 'config.json'));
    // A directory without a config: the process ended before the first one was written.
    if (body === undefined) return undefined;
    const decoded = decodePayload(ContainerConfig, body, 'ignored');
    if (!decoded.ok) return { id, problems: decoded.problems };
    if (decoded.value.containerId !== id) return { id, problems: [{ path: 'containerId', message: `is not ${id}` }] };
    this.made.add(id);
    return { config: decoded.value, record: await this.readRecord(id) };
  }

  /** Survives a power cut once it resolves. */
  async saveConfig(config: ContainerConfig): Promise<void> {
    const directory = join(this.directory, config.containerId);
    const made = this.made.has(config.containerId);
    if (!made) await mkdir(directory, { recursive: true, mode: 0o700 });
    // The two run in parallel, because a start waits for them.
    await Promise.all([
      made ? undefined : syncPath(this.directory),
      writeDurably(this.path(config.containerId, 'config.json'), JSON.stringify(config)),
    ]);
    this.made.add(config.containerId);
  }

  /**
   * Survives the end of this process. After a power cut it may be old: then the machine's boot id differs, and most of
   * it is ignored.
   */
  saveRecord(id: string, record: LocalRecord): Promise<void> {
    return writeWhole(this.path(id, 'record.json'), JSON.stringify(record));
  }

  async delete(id: string): Promise<void> {
    this.made.delete(id);
    await rm(join(this.directory, id), { recursive: true, force: true });
  }

  private async readRecord(id: string): Promise<LocalRecord | undefined> {
    const body = await readOptional(this.path(id, 'record.json'));
    if (body === undefined || body.length === 0) return undefined;
    try {
      const found = JSON.parse(body.toString('utf8')) as LocalRecord;
      return Number.isInteger(found.starts) && Number.isInteger(found.sequence) && typeof found.bootId === 'string'
        ? found
        : undefined;
    } catch (error) {
      // A power cut tore the file; its important parts are found again in the runtime state.
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  private path(id: string, file: string): string {
    return join(this.directory, id, file);
  }
}

async function readOptional(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
