import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { MovesModule } from '../moves/moves.module.js';
import { RolloutsModule } from '../rollouts/rollouts.module.js';
import { ContainerReportHandler } from './container-report.handler.js';
import { MasterReportHandler } from './master-report.handler.js';

@Module({
  imports: [ContainersModule, MovesModule, RolloutsModule],
  controllers: [ContainerReportHandler, MasterReportHandler],
})
export class ReportsModule {}
