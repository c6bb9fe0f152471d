import { Module } from '@nestjs/common';
import { AddressPoolSetting } from './address-pool-setting.js';
import { NeighbourFeed } from './neighbour-feed.js';

@Module({ providers: [AddressPoolSetting, NeighbourFeed], exports: [AddressPoolSetting, NeighbourFeed] })
export class NetworkModule {}
