/** Boots an image as hosts do, probes the mounts that containers rely on, then runs the recipe's own tests in it. */
import { Inject, Injectable } from '@nestjs/common';
import { type ImageManifest, type ImageTestResult } from '@plinth/contracts';
import { type BootedImage, ImageBooter } from '../adapters/tree/image-booter.js';
import { probeReadOnly, probeWritable } from '../adapters/tree/mount-probe.js';
import { BuildRefusal } from '../domain/build-refusal.js';
import type { Phase } from '../domain/build-progress.js';
import type { RecipeTest } from '../domain/recipe.js';
import { judgeTest } from '../domain/test-verdict.js';

export interface TestOptions {
  readonly manifest: ImageManifest;
  /** Holds `root/` and `mount.sh`, as unpacked from the archive. */
  readonly directory: string;
  /** The build's own directory. */
  readonly work: string;
  readonly tests: readonly RecipeTest[];
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  readonly onProgress: (phase: Phase, within: number) => void;
}

/** The tests every image has to pass, by the names they have in `image.tested`. */
const BOOT = 'boots';
const READ_ONLY = 'the tree refuses writes';
const WRITABLE = 'every writable place takes writes';

@Injectable()
export class ImageTester {
  constructor(@Inject(ImageBooter) private readonly booter: ImageBooter) {}

  /** @throws BuildRefusal naming the first test that failed */
  async test(options: TestOptions): Promise<ImageTestResult[]> {
    const results: ImageTestResult[] = [];
    const step = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
      options.signal.throwIfAborted();
      options.onLine(`# ${name}`);
      const began = performance.now();
      const value = await work();
      results.push({ name, durationMs: Math.round(performance.now() - began) });
      return value;
    };
    options.onProgress('boot', 0);
    const image = await step(BOOT, async () => {
      const booted = await this.booter.boot(options);
      if (!booted.ok) throw failed(BOOT, booted.message, booted.log);
      return booted.image;
    });
    try {
      const { mountPlan, mountScript } = options.manifest;
      await step(READ_ONLY, () => refuseProblem(READ_ONLY, probeReadOnly(image.pid, mountPlan)));
      const problem = (): string | undefined => {
        const found = probeWritable(image.pid, mountPlan);
        return found !== undefined && mountScript.custom ? `${found}: the recipe's mountScript has to make it` : found;
      };
      await step(WRITABLE, () => refuseProblem(WRITABLE, problem()));
      for (const [index, test] of options.tests.entries()) {
        options.onProgress('test', index / options.tests.length);
        await step(test.name, () => runTest(image, test, options));
      }
      options.onProgress('test', 1);
      return results;
    } finally {
      await image.destroy();
    }
  }
}

async function runTest(image: BootedImage, test: RecipeTest, options: TestOptions): Promise<void> {
  const lines: string[] = [];
  const onLine = (line: string): void => {
    options.onLine(line);
    lines.push(line);
  };
  const outcome = await image.exec(test.command, {
    timeoutSeconds: test.timeoutSeconds,
    signal: options.signal,
    onLine,
  });
  const problem = judgeTest(test, outcome);
  if (problem !== undefined) throw failed(test.name, problem, lines.slice(-100).join('\n').slice(-12_000));
}

function refuseProblem(name: string, problem: string | undefined): void {
  if (problem !== undefined) throw failed(name, problem);
}

function failed(name: string, problem: string, logTail?: string): BuildRefusal {
  // An empty log is less useful than the build's own.
  return new BuildRefusal('test-failed', `the test "${name}" failed: ${problem}`, {
    failedTest: name,
    logTail: logTail || undefined,
  });
}
