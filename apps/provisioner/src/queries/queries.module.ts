import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { DropDeadLettersHandler } from './drop-dead-letters.handler.js';
import { PlacementQueryHandler } from './placement-query.handler.js';
import { QueriesHandler } from './queries.handler.js';
import { QueryStore } from './query.store.js';
import { RolloutQueryStore } from './rollout-query.store.js';

@Module({
  imports: [ContainersModule],
  controllers: [QueriesHandler, PlacementQueryHandler, DropDeadLettersHandler],
  providers: [QueryStore, RolloutQueryStore],
})
export class QueriesModule {}
