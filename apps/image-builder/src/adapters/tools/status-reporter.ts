/** Publishes the progress of a build, at most a few times a second: last value per image name, directly to the bus. */
import { Inject, Injectable } from '@nestjs/common';
import { type ImageBuildStatus, type ImageState, imageStatus } from '@plinth/contracts';
import { EventPublisher, type Logger, LOGGER } from '@plinth/service-kit';
import { Histogram } from 'prom-client';
import { fractionOf, type Phase } from '../../domain/build-progress.js';
import { type ImageBuild, versionOf } from '../../domain/image-build.js';

const INTERVAL_MS = 200;

const buildSeconds = new Histogram({
  name: 'plinth_image_build_seconds',
  help: 'Time that a phase of a build of an image took',
  labelNames: ['phase'],
  buckets: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800],
});

@Injectable()
export class StatusReporter {
  constructor(
    @Inject(EventPublisher) private readonly publisher: EventPublisher,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  of(build: ImageBuild): BuildStatus {
    return new BuildStatus(build, (status, id) => this.publish(status, build.correlationId, id));
  }

  /** Publishes a state that stays for a while. */
  settled(build: ImageBuild, state: ImageState): void {
    this.of(build).settle(state, state, 1);
  }

  private publish(status: ImageBuildStatus, correlationId: string, retries: number): void {
    this.publisher
      .publish({ subject: imageStatus(status.name), data: status, correlationId })
      .catch((error: unknown) => {
        this.logger.debug({ err: error }, 'status was not stored');
        if (retries > 0) setTimeout(() => this.publish(status, correlationId, retries - 1), 1_000).unref();
      });
  }
}

/** The status of one build while it is in progress. */
export class BuildStatus {
  /** Time by the monotonic clock. */
  private sentAt = -INTERVAL_MS;
  private timer: NodeJS.Timeout | undefined;
  private next: ImageBuildStatus | undefined;
  private phase: { readonly name: Phase; readonly begun: number } | undefined;

  constructor(
    private readonly build: ImageBuild,
    private readonly send: (status: ImageBuildStatus, retries: number) => void,
  ) {}

  /** @param within 0 to 1, of the phase */
  progress(state: ImageState, phase: Phase, within: number): void {
    this.measure(phase);
    this.next = this.status(state, phase, fractionOf(phase, within));
    if (this.timer) return;
    const wait = this.sentAt + INTERVAL_MS - performance.now();
    if (wait <= 0) this.flush(0);
    else this.timer = setTimeout(() => this.flush(0), wait);
  }

  settle(state: ImageState, phase: string, fraction: number): void {
    this.measure(undefined);
    this.next = this.status(state, phase, fraction);
    this.flush(5);
  }

  /** Ends the reports of this build. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.next = undefined;
  }

  /** The phase that was in progress has ended. */
  private measure(next: Phase | undefined): void {
    if (this.phase?.name === next) return;
    if (this.phase) buildSeconds.observe({ phase: this.phase.name }, (performance.now() - this.phase.begun) / 1000);
    this.phase = next && { name: next, begun: performance.now() };
  }

  private flush(retries: number): void {
    const { next } = this;
    this.close();
    if (!next) return;
    this.sentAt = performance.now();
    this.send(next, retries);
  }

  private status(state: ImageState, phase: string, fraction: number): ImageBuildStatus {
    const { name, buildId, requestId } = this.build;
    return {
      name,
      version: versionOf(this.build),
      buildId,
      requestId,
      state,
      phase,
      fraction,
      at: new Date().toISOString(),
    };
  }
}
