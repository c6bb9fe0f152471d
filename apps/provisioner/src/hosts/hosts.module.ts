import { Module } from '@nestjs/common';
import { MovesModule } from '../moves/moves.module.js';
import { HeartbeatsHandler } from './heartbeats.handler.js';
import { HostHeartbeats } from './host-heartbeats.js';
import { HostControl } from './host-control.js';
import { HostLabelling } from './host-labelling.js';
import { HostSchedulingHandler } from './host-scheduling.handler.js';
import { LostHosts } from './lost-hosts.js';

@Module({
  imports: [MovesModule],
  controllers: [HeartbeatsHandler, HostSchedulingHandler],
  providers: [HostControl, HostLabelling, HostHeartbeats, LostHosts],
})
export class HostsModule {}
