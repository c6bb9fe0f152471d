/** The compiled service in a process of its own: to be killed, doubled and listened to. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';

const REPOSITORY = join(import.meta.dirname, '../../../..');

/** Compiles what is to be started; quick when nothing changed. */
export function compileDistributor(): void {
  execFileSync(process.execPath, ['node_modules/typescript-7/bin/tsc', '-b', 'apps/distributor'], {
    cwd: REPOSITORY,
    stdio: 'inherit',
  });
}

export interface LogLine {
  readonly msg: string;
  readonly [key: string]: unknown;
}

const MAIN = join(REPOSITORY, 'apps/distributor/dist/main.js');

/** Starts one that must not come up. @returns how it ended, and what it said */
export function refusedStart(env: Readonly<Record<string, string>>): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(process.execPath, [MAIN], {
    env: { PATH: process.env['PATH'], PLINTH_SERVICE_ID: 'distributor-1', ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stderr };
}

export class DistributorProcess {
  readonly log: LogLine[] = [];
  private url = '';

  private constructor(private readonly child: ChildProcess) {}

  static async start(env: Readonly<Record<string, string>>): Promise<DistributorProcess> {
    const child = spawn(process.execPath, [MAIN], {
      env: {
        PATH: process.env['PATH'],
        PLINTH_CHECK_CONTRACTS: '1',
        PLINTH_SERVICE_ID: 'distributor-1',
        PLINTH_HEARTBEAT_SECONDS: '0.2',
        LOG_LEVEL: 'info',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const distributor = new DistributorProcess(child);
    const { stdout } = child;
    if (!stdout) throw new Error('started without a pipe');
    await new Promise<void>((resolve, reject) => {
      child.on('exit', (code) => reject(new Error(`the distributor ended with ${code}`)));
      createInterface({ input: stdout }).on('line', (text) => {
        const line = JSON.parse(text) as LogLine;
        distributor.log.push(line);
        if (line.msg !== 'ready') return;
        distributor.url = String(line['url']);
        resolve();
      });
    });
    return distributor;
  }

  async readiness(): Promise<{ status: number; missing: Record<string, string> }> {
    const response = await fetch(`${this.url}/health/ready`);
    const { missing } = (await response.json()) as { missing: Record<string, string> };
    return { status: response.status, missing };
  }

  /** Resolves with the exit code when it is gone. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    await ended;
    return this.child.exitCode;
  }
}
