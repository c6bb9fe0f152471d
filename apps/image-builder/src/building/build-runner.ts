/**
 * Works on the builds that the catalogue holds: takes one when a slot is free, makes the image, boots and tests it. Its
 * decisions are in the catalogue before they are published; a build whose builder died is taken by any other copy.
 */
import { Inject, Injectable } from '@nestjs/common';
import { join } from 'node:path';
import { type ImageRejected, SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, Outbox, withLogContext, WorkLoop } from '@plinth/service-kit';
import { BuildLog } from '../adapters/tools/build-log.js';
import { ImageCatalogue, LEASE_SECONDS, LeaseLostError } from '../adapters/postgres/image-catalogue.js';
import { StatusReporter } from '../adapters/tools/status-reporter.js';
import { WorkDirectories } from '../adapters/tools/work-directories.js';
import { BuildRefusal } from '../domain/build-refusal.js';
import { type ImageBuild, refOf, versionOf } from '../domain/image-build.js';
import { ImageRepository } from '../adapters/repository/image-repository.js';
import { BuildJob, type JobContext } from './build-job.js';
import { ImageBuilderConfig } from '../config.js';

const POLL_MS = 1_000;
const RENEW_MS = (LEASE_SECONDS * 1_000) / 4;
/** A build whose builder failed or crashed this often is not tried again. */
const MAX_ATTEMPTS = 3;

/** The reason of a release: the builder stops, and the build is not at fault. */
class StoppingError extends Error {}

@Injectable()
export class BuildRunner {
  private readonly running = new Map<string, { readonly abort: AbortController; readonly done: Promise<void> }>();
  /** Takes builds, which run concurrently. */
  private readonly loop: WorkLoop;

  constructor(
    @Inject(ImageBuilderConfig) private readonly config: ImageBuilderConfig,
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ImageRepository) private readonly repository: ImageRepository,
    @Inject(WorkDirectories) private readonly directories: WorkDirectories,
    @Inject(StatusReporter) private readonly statuses: StatusReporter,
    @Inject(BuildJob) private readonly job: BuildJob,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.take(),
      periodMs: POLL_MS,
      failed: (error) => this.logger.warn({ err: error }, 'no build could be taken; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Releases the builds in progress at once. */
  async stop(): Promise<void> {
    await this.loop.stop();
    for (const { abort } of this.running.values()) abort.abort(new StoppingError('the builder stops'));
    await Promise.all([...this.running.values()].map(({ done }) => done));
  }

  /** Wakes the loop: there may be a new build. */
  kick(): void {
    this.loop.kick();
  }

  private async take(): Promise<void> {
    while (this.running.size < this.config.PLINTH_BUILD_CONCURRENCY && !this.loop.isStopping) {
      const build = await this.catalogue.claim(this.config.PLINTH_SERVICE_ID, [...this.running.keys()]);
      if (!build) break;
      const abort = new AbortController();
      // The kick may have come with another build's request.
      const context = {
        correlationId: build.correlationId,
        eventId: build.requestId,
        subject: SUBJECTS.imageRequested,
      };
      const done = withLogContext(context, () => this.run(build, abort)).finally(() => {
        this.running.delete(build.buildId);
        this.kick();
      });
      this.running.set(build.buildId, { abort, done });
    }
  }

  /** Never rejects. */
  private async run(build: ImageBuild, abort: AbortController): Promise<void> {
    const logger = this.logger.child({ image: refOf(build), buildId: build.buildId });
    const renewing = new WorkLoop({
      pass: async () => {
        if (!(await this.catalogue.renew(build))) abort.abort(new LeaseLostError(build.buildId));
      },
      periodMs: RENEW_MS,
      failed: (error) => logger.warn({ err: error }, 'the lease could not be renewed; it is tried again'),
    });
    renewing.start(RENEW_MS);
    const deadline = AbortSignal.timeout(this.config.PLINTH_BUILD_TIMEOUT_SECONDS * 1000);
    const signal = AbortSignal.any([abort.signal, deadline]);
    const status = this.statuses.of(build);
    try {
      const log = await BuildLog.open(this.directories.log(build.name, versionOf(build)));
      const context: JobContext = { build, log, status, signal, logger };
      try {
        logger.info({ attempt: build.attempts }, 'build taken');
        if (build.attempts > MAX_ATTEMPTS)
          throw new BuildRefusal(
            'interrupted',
            `the builder died ${MAX_ATTEMPTS} times during this build; see its log`,
          );
        await this.job.run(context);
      } catch (error) {
        status.close();
        const refusal = refusalOf(error, build, deadline, abort.signal, this.config.PLINTH_BUILD_TIMEOUT_SECONDS);
        if (!refusal) throw error;
        logger.info({ reason: refusal.reason, detail: refusal.message }, 'build rejected');
        await this.reject(context, refusal);
      } finally {
        await log.close();
      }
    } catch (error) {
      if (error instanceof StoppingError) {
        await this.release(build, logger);
        return;
      }
      // The lease runs out and the build is taken again, by this builder or another.
      logger.error({ err: error }, 'build interrupted');
    } finally {
      void renewing.stop();
      status.close();
      await this.directories
        .remove(build.buildId)
        .catch((error: unknown) => logger.warn({ err: error }, 'work directory not removed; the next start clears it'));
    }
  }

  private async release(build: ImageBuild, logger: Logger): Promise<void> {
    await this.directories.remove(build.buildId);
    await this.catalogue
      .release(build)
      .catch((error: unknown) => logger.warn({ err: error }, 'build not released; its lease runs out'));
    logger.info('build released');
  }

  /** All files of the build are removed before the rejection is published. */
  private async reject({ build, log, status }: JobContext, refusal: BuildRefusal): Promise<void> {
    const [name, version] = [build.name, versionOf(build)];
    const data: ImageRejected = {
      operation: 'build',
      requestId: build.requestId,
      reason: refusal.reason,
      message: refusal.message.slice(0, 4_000),
      name,
      version,
      problems: [],
      failedTest: refusal.details.failedTest,
      logTail: (refusal.details.logTail ?? log.tail).slice(-12_000),
    };
    await this.outbox.transact(async (manager, add) => {
      await this.catalogue.advance(manager, build, 'rejected', {
        logTail: data.logTail ?? '',
        statement: null,
        manifest: null,
      });
      const work = await this.directories.make(build.buildId);
      await this.repository.withdraw('testing', name, version, join(work, 'withdrawn'));
      await this.directories.remove(build.buildId);
      add({
        subject: SUBJECTS.imageRejected,
        aggregate: refOf(build),
        data,
        correlationId: build.correlationId,
        causationId: build.requestId,
      });
    });
    status.settle('rejected', refusal.reason, 1);
  }
}

/** @returns undefined when the build is to be tried again, or belongs to another builder */
function refusalOf(
  error: unknown,
  build: ImageBuild,
  deadline: AbortSignal,
  abort: AbortSignal,
  timeoutSeconds: number,
): BuildRefusal | undefined {
  if (abort.aborted || error instanceof LeaseLostError) return undefined;
  if (deadline.aborted)
    return new BuildRefusal('build-timeout', `the build took longer than ${timeoutSeconds} s`, { cause: error });
  if (error instanceof BuildRefusal) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (
    code === 'ENOSPC' ||
    code === 'EDQUOT' ||
    (error instanceof Error && error.message.includes('No space left on device'))
  ) {
    return new BuildRefusal('no-space', 'the disk of the builder is full; free some space and try again', {
      cause: error,
    });
  }
  // The build is tried again, unless it has failed like this before.
  if (build.attempts < MAX_ATTEMPTS) return undefined;
  return new BuildRefusal(
    'internal-error',
    `the builder failed: ${error instanceof Error ? error.message : String(error)}`,
    { cause: error },
  );
}
