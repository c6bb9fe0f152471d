/**
 * Disk usage of each tenant's data volumes, copies for updates included; measured one after the other, at the lowest
 * priority.
 */
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { ID_PATTERN, NAME_PATTERN, type TenantDiskUse } from '@plinth/contracts';
import { type Logger, WorkLoop } from '@plinth/service-kit';

const MARKER = 'volume.json';
const MAX_MARKER_BYTES = 64 * 1024;

export class VolumeUsage {
  private readonly stopping = new AbortController();
  private readonly loop: WorkLoop;
  private latest: TenantDiskUse[] | undefined;

  constructor(
    private readonly directory: string,
    periodMs: number,
    logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: async () => {
        this.latest = await this.measure(this.stopping.signal);
      },
      periodMs,
      retryMs: () => periodMs,
      failed: (error) => {
        if (!this.loop.isStopping) logger.warn({ err: error }, 'disk usage could not be measured; it is tried again');
      },
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Cancels a measurement. */
  async stop(): Promise<void> {
    const stopped = this.loop.stop();
    this.stopping.abort();
    await stopped;
  }

  /** Measurements since the last call; undefined: none. */
  take(): TenantDiskUse[] | undefined {
    const { latest } = this;
    this.latest = undefined;
    return latest;
  }

  private async measure(signal: AbortSignal): Promise<TenantDiskUse[]> {
    const tenants = new Map<string, string>();
    for (const name of await readdir(this.directory)) {
      const tenant = ID_PATTERN.test(name) ? await tenantOf(join(this.directory, name, MARKER)) : undefined;
      if (tenant !== undefined) tenants.set(join(this.directory, name), tenant);
    }
    const bytes = new Map<string, number>();
    if (tenants.size > 0) {
      for (const line of (await diskUse([...tenants.keys()], signal)).split('\n')) {
        const [, size = '', path = ''] = /^(\d+)\t(.+)$/.exec(line) ?? [];
        const tenant = tenants.get(path);
        if (tenant !== undefined) bytes.set(tenant, (bytes.get(tenant) ?? 0) + Number(size));
      }
    }
    return [...bytes].map(([tenant, sum]) => ({ tenant, bytes: sum }));
  }
}

/** @returns undefined when the tenant is not known */
async function tenantOf(marker: string): Promise<string | undefined> {
  try {
    const body = await readFile(marker);
    const { tenant } = (body.length <= MAX_MARKER_BYTES ? JSON.parse(body.toString('utf8')) : {}) as {
      tenant?: unknown;
    };
    return typeof tenant === 'string' && NAME_PATTERN.test(tenant) ? tenant : undefined;
  } catch {
    // The volume was removed meanwhile, or its marker is incomplete: it has no owner.
    return undefined;
  }
}

/** Output of du(1), lines of `<bytes>\t<path>`; files that vanish meanwhile are left out. */
function diskUse(paths: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('du', ['--summarize', '--block-size=1', '--files0-from=-'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      signal,
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString('utf8')));
    child.on('error', reject);
    child.on('close', () => resolve(output));
    // du may have ended before it has read all paths.
    child.stdin.on('error', () => undefined);
    child.stdin.end(paths.join('\0'));
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  });
}
