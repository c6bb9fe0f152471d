/**
 * The server of images in a thread of its own, for programs whose event loop has other work: plans and packs are made
 * there. A thread that ends is started again.
 */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { type Logger, WorkLoop } from '@plinth/service-kit';
import { StoreLayout } from '../domain/store-layout.js';
import type { ServeSettings } from './transfer-config.js';

export interface ServingJob {
  /** Of installed images; see `StoreLayout`. */
  readonly directory: string;
  /** undefined: none are served, and what an earlier process has packed is removed. */
  readonly settings: ServeSettings | undefined;
  /** Nice value of the thread and of the programs that it starts, 0 to 19. */
  readonly nice: number;
}

export type ServingMessage =
  | { readonly kind: 'serving'; readonly url: string | undefined }
  | { readonly kind: 'failed'; readonly message: string; readonly url: string | undefined };

/** Manifests of the largest images take some hundred megabytes when they are parsed. */
const HEAP_MEGABYTES = 1_024;
const AGAIN_MS = 5_000;

export class ServingThread {
  private worker: Worker | undefined;
  private url: string | undefined;
  private readonly loop: WorkLoop;

  /** @param changed it serves elsewhere, or no longer */
  constructor(
    private readonly job: ServingJob,
    private readonly changed: () => void,
    private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.run(),
      retryMs: () => AGAIN_MS,
      failed: (error) => logger.error({ err: error }, 'images are not served; it is tried again'),
    });
  }

  /** Where others reach it; undefined: nowhere. */
  get servesAt(): string | undefined {
    return this.url;
  }

  start(): void {
    this.loop.start();
  }

  /** Also ends transfers in progress. */
  async stop(): Promise<void> {
    // The loop waits for the thread.
    const stopped = this.loop.stop();
    this.worker?.postMessage('stop');
    await stopped;
  }

  /** Resolves when the thread was stopped. @throws when it has ended by itself */
  private async run(): Promise<void> {
    if (!this.job.settings) return rm(new StoreLayout(this.job.directory).packed, { recursive: true, force: true });
    const worker = new Worker(new URL('./serving.worker.js', import.meta.url), {
      workerData: this.job,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
    });
    this.worker = worker;
    worker.on('message', (message: ServingMessage) => this.take(message));
    if (this.loop.isStopping) worker.postMessage('stop');
    try {
      await once(worker, 'exit');
    } finally {
      this.worker = undefined;
      this.place(undefined);
    }
    if (!this.loop.isStopping) throw new Error('the thread that serves images has ended');
  }

  private take(message: ServingMessage): void {
    if (message.kind === 'failed') {
      this.logger.error({ problem: message.message, url: message.url }, 'a version could not be served');
      return;
    }
    if (message.url !== undefined) this.logger.info({ url: message.url }, 'images are served');
    this.place(message.url);
  }

  private place(url: string | undefined): void {
    if (this.url === url) return;
    this.url = url;
    this.changed();
  }
}
