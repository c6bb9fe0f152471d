/** Reports that the bus has not stored yet, on disk: one small file each, deleted once the bus has stored it. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ContainerReport, decodePayload } from '@plinth/contracts';
import { writeWhole } from '@plinth/host-os';

export interface JournaledReport {
  /** Message id: the same at every try, so that the bus drops a second copy. */
  readonly messageId: string;
  readonly report: ContainerReport;
  readonly correlationId?: string;
  /** Id of the event that brought the config. */
  readonly causationId?: string;
}

/**
 * Not synced: it survives the end of the process, not a power cut. After a power cut no container runs, and the agent
 * reports each container's present state when it starts; so no write waits for the disk between a start and its report.
 */
export class ReportJournal {
  constructor(private readonly directory: string) {}

  add(entry: JournaledReport): Promise<void> {
    return writeWhole(this.path(entry), JSON.stringify(entry));
  }

  remove(entry: JournaledReport): Promise<void> {
    return rm(this.path(entry), { force: true });
  }

  /** Oldest first for each container. Unreadable ones (a power cut) are deleted. */
  async readAll(): Promise<readonly JournaledReport[]> {
    const entries: JournaledReport[] = [];
    for (const name of (await readdir(this.directory)).filter((file) => file.endsWith('.json'))) {
      const entry = decodeEntry(await readFile(join(this.directory, name), 'utf8'));
      if (entry) entries.push(entry);
      else await rm(join(this.directory, name), { force: true });
    }
    return entries.sort((a, b) => a.report.sequence - b.report.sequence);
  }

  private path({ report }: JournaledReport): string {
    return join(this.directory, `${report.containerId}.${report.sequence}.json`);
  }
}

function decodeEntry(text: string): JournaledReport | undefined {
  try {
    const { messageId, report, correlationId, causationId } = JSON.parse(text) as Partial<JournaledReport>;
    const decoded = decodePayload(ContainerReport, Buffer.from(JSON.stringify(report ?? null)), 'ignored');
    return typeof messageId === 'string' && decoded.ok
      ? { messageId, report: decoded.value, correlationId, causationId }
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
