import { Module } from '@nestjs/common';
import { AddressPoolSetting } from './address-pool-setting.js';
import { NeighbourFeed } from './neighbour-feed.js';
import { TenantChangeHandler } from './tenant-change.handler.js';

@Module({
  controllers: [TenantChangeHandler],
  providers: [AddressPoolSetting, NeighbourFeed],
  exports: [AddressPoolSetting, NeighbourFeed],
})
export class NetworkModule {}
