import { Module } from '@nestjs/common';
import { DropDeadLettersHandler } from './drop-dead-letters.handler.js';
import { QueriesHandler } from './queries.handler.js';
import { QueryStore } from './query.store.js';
import { RolloutQueryStore } from './rollout-query.store.js';

@Module({ controllers: [QueriesHandler, DropDeadLettersHandler], providers: [QueryStore, RolloutQueryStore] })
export class QueriesModule {}
