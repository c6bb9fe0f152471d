import { Module } from '@nestjs/common';
import { MovesModule } from '../moves/moves.module.js';
import { HeartbeatsHandler } from './heartbeats.handler.js';
import { HostControl } from './host-control.js';
import { HostCordonRequestedHandler } from './host-cordon-requested.handler.js';
import { HostDrainRequestedHandler } from './host-drain-requested.handler.js';
import { HostUncordonRequestedHandler } from './host-uncordon-requested.handler.js';
import { LostHosts } from './lost-hosts.js';

@Module({
  imports: [MovesModule],
  controllers: [HeartbeatsHandler, HostCordonRequestedHandler, HostUncordonRequestedHandler, HostDrainRequestedHandler],
  providers: [HostControl, LostHosts],
})
export class HostsModule {}
