import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { Retention } from './retention.js';

@Module({ imports: [ContainersModule], providers: [Retention], exports: [Retention] })
export class RetentionModule {}
