import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { MovesModule } from '../moves/moves.module.js';
import { RebalanceModule } from '../rebalance/rebalance.module.js';
import { RolloutsModule } from '../rollouts/rollouts.module.js';
import { ContainerReportHandler } from './container-report.handler.js';
import { ContainerReports } from './container-reports.js';
import { HostImageReportHandler } from './host-image-report.handler.js';
import { MasterReportHandler } from './master-report.handler.js';
import { ReportBatch } from './report-batch.js';
import { ReportIntake } from './report-intake.js';

@Module({
  imports: [ContainersModule, MovesModule, RolloutsModule, RebalanceModule],
  controllers: [ContainerReportHandler, MasterReportHandler, HostImageReportHandler],
  providers: [ContainerReports, ReportBatch, ReportIntake],
})
export class ReportsModule {}
