import { Controller, Inject } from '@nestjs/common';
import { type EventOf, type FactSubject, MASTER_REPORTS, type MasterReport, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, type Logger, LOGGER, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { forgetMaster, recordMaster } from '../images/image.store.js';

/** `report.node.<node>.image`: stores which storage node holds which image, publishes the official fact. */
@Controller()
export class MasterReportHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @OnEvent(MASTER_REPORTS, { concurrency: 16, ordered: true })
  async handle(event: ReceivedEvent<MasterReport>): Promise<void> {
    const report = event.data;
    if (event.tokens[2] !== report.node) {
      this.logger.warn({ subject: event.subject, node: report.node }, 'report under a foreign name ignored');
      return;
    }
    const { node, name, version } = report;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, MASTER_REPORTS, event.id))) return;
      const image = { name, version, storageNode: node };
      const publish = (fact: EventOf<FactSubject>): void =>
        unit.publishEvent(fact, { aggregate: `master:${node}:${name}@${version}` });
      if (report.kind === 'distributed' && report.contentDigest && report.mountScriptDigest) {
        await recordMaster(unit.db, node, name, version, report.contentDigest);
        publish({
          subject: SUBJECTS.imageDistributed,
          data: {
            ...image,
            contentDigest: report.contentDigest,
            mountScriptDigest: report.mountScriptDigest,
            downloadedBytes: report.downloadedBytes ?? 0,
            unpackedBytes: report.unpackedBytes ?? 0,
            durationMs: report.durationMs ?? 0,
          },
        });
      } else if (report.kind === 'failed') {
        publish({
          subject: SUBJECTS.imageDistributionFailed,
          data: {
            ...image,
            reason: report.reason ?? 'io-error',
            message: report.message ?? 'the storage node gave no reason',
            attempt: report.attempt ?? 1,
            retryInMs: report.retryInMs,
          },
        });
      } else if (report.kind === 'removed') {
        await forgetMaster(unit.db, node, name, version);
      }
    });
  }
}
