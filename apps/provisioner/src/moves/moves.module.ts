import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { ContainerRelocation } from './container-relocation.js';
import { RelocationBatch } from './relocation-batch.js';

@Module({
  imports: [ContainersModule],
  providers: [ContainerRelocation, RelocationBatch],
  exports: [ContainerRelocation],
})
export class MovesModule {}
