import { Module } from '@nestjs/common';
import { ContainersModule } from '../containers/containers.module.js';
import { ContainerRelocation } from './container-relocation.js';
import { MovePlaces } from './move-places.js';
import { RelocationBatch } from './relocation-batch.js';

@Module({
  imports: [ContainersModule],
  providers: [ContainerRelocation, MovePlaces, RelocationBatch],
  exports: [ContainerRelocation],
})
export class MovesModule {}
