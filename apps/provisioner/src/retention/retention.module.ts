import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { CountKeeping } from './count-keeping.js';
import { Retention } from './retention.js';

@Module({
  imports: [ContainersModule],
  providers: [Retention, CountKeeping],
  exports: [Retention, CountKeeping],
})
export class RetentionModule {}
