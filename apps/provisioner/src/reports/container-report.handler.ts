import { Controller, Inject } from '@nestjs/common';
import { type ContainerReport, HOST_REPORTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { BATCH, ReportIntake } from './report-intake.js';

/** `report.host.<host>.container.<id>`. */
@Controller()
export class ContainerReportHandler {
  constructor(@Inject(ReportIntake) private readonly intake: ReportIntake) {}

  @OnEvent(HOST_REPORTS, { concurrency: 3 * BATCH, ordered: true })
  handle(event: ReceivedEvent<ContainerReport>): Promise<void> {
    return this.intake.take(event);
  }
}
