import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { MovesModule } from '../moves/moves.module.js';
import { RebalanceControl } from './rebalance-control.js';
import { RebalanceHandler } from './rebalance.handler.js';
import { RebalanceProgress } from './rebalance-progress.js';

@Module({
  imports: [ContainersModule, MovesModule],
  controllers: [RebalanceHandler],
  providers: [RebalanceControl, RebalanceProgress],
  exports: [RebalanceProgress],
})
export class RebalanceModule {}
