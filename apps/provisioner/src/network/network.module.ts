import { Module } from '@nestjs/common';
import { AddressPoolSetting } from './address-pool-setting.js';

@Module({ providers: [AddressPoolSetting], exports: [AddressPoolSetting] })
export class NetworkModule {}
