import { Controller, Inject } from '@nestjs/common';
import { HOST_IMAGE_REPORTS, type HostImageReport, parseExactImageRef, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, type Logger, LOGGER, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { forgetEviction, forgetFetchFailure, noteFetchFailure } from '../images/host-images.store.js';

/** `report.host.<host>.image`: publishes the official fact about a version in the store of a host. */
@Controller()
export class HostImageReportHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @OnEvent(HOST_IMAGE_REPORTS, { concurrency: 16, ordered: true })
  async handle(event: ReceivedEvent<HostImageReport>): Promise<void> {
    const report = event.data;
    const ref = parseExactImageRef(report.image);
    if (event.tokens[2] !== report.host || !ref) {
      this.logger.warn({ subject: event.subject, host: report.host }, 'report under a foreign name ignored');
      return;
    }
    const { host, state, message, downloadedBytes, durationMs, deltaFrom, source, reason, retryInMs } = report;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, HOST_IMAGE_REPORTS, event.id))) return;
      const about = { host, ...ref, ...(message !== undefined && { message }) };
      const options = { aggregate: `host-image:${host}:${report.image}` };
      if (state === 'failed') await noteFetchFailure(unit.db, host, report.image, reason ?? 'io-error');
      else await forgetFetchFailure(unit.db, host, report.image);
      switch (state) {
        case 'cached':
          return unit.publish(
            SUBJECTS.imageCached,
            { ...about, downloadedBytes, durationMs, deltaFrom, source },
            options,
          );
        case 'failed':
          return unit.publish(
            SUBJECTS.imageCacheFailed,
            { ...about, reason: reason ?? 'io-error', retryInMs },
            options,
          );
        case 'evicted':
          await forgetEviction(unit.db, host, report.image);
          return unit.publish(SUBJECTS.imageEvicted, about, options);
      }
    });
  }
}
