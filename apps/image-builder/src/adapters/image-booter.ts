/** STUB until the container runtime is there. */
import type { Logger } from '@plinth/service-kit';
import type { TestOutcome } from '../domain/test-verdict.js';

export interface BootOptions {
  readonly buildId: string;
  readonly directory: string;
}

export interface ExecOptions {
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

export interface BootedImage {
  readonly pid: number;
  exec(argv: readonly string[], options: ExecOptions): Promise<TestOutcome>;
  stop(graceSeconds: number): Promise<boolean>;
  destroy(): Promise<void>;
}

export class ImageBooter {
  static async open(_directory: string, _logger: Logger): Promise<ImageBooter> {
    return new ImageBooter();
  }
  async boot(_options: BootOptions): Promise<BootedImage> {
    throw new Error('not there yet');
  }
  async cleanUp(): Promise<void> {}
}
