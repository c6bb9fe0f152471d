/** The compiled service in processes of its own: to be killed, doubled and listened to. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const REPOSITORY = join(import.meta.dirname, '../../../..');

/** Compiles what is to be started; quick when nothing changed. */
export function compileBuilder(): void {
  execFileSync(process.execPath, ['node_modules/typescript-7/bin/tsc', '-b', 'apps/image-builder'], {
    cwd: REPOSITORY,
    stdio: 'inherit',
  });
}

export interface LogLine {
  readonly msg: string;
  readonly [key: string]: unknown;
}

export class BuilderProcess {
  readonly log: LogLine[] = [];
  /** Of health and metrics. */
  url = '';
  /** Of downloads. */
  downloads = '';

  private constructor(private readonly child: ChildProcess) {}

  static async start(env: Readonly<Record<string, string>>): Promise<BuilderProcess> {
    const child = spawn(process.execPath, [join(REPOSITORY, 'apps/image-builder/dist/main.js')], {
      env: { PATH: process.env['PATH'], PLINTH_CHECK_CONTRACTS: '1', LOG_LEVEL: 'info', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const builder = new BuilderProcess(child);
    const { stdout } = child;
    if (!stdout) throw new Error('started without a pipe');
    await new Promise<void>((resolve, reject) => {
      child.on('exit', (code) => reject(new Error(`the builder ended with ${code}`)));
      createInterface({ input: stdout }).on('line', (text) => {
        const line = JSON.parse(text) as LogLine;
        builder.log.push(line);
        if (line.msg === 'downloads are served') builder.downloads = String(line['url']);
        if (line.msg !== 'ready') return;
        builder.url = String(line['url']);
        resolve();
      });
    });
    return builder;
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
