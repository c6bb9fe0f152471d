import { Controller, Inject } from '@nestjs/common';
import {
  type HostActionRequested,
  type HostDrainRequested,
  type HostLabelRequested,
  SUBJECTS,
} from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerRelocation } from '../moves/container-relocation.js';
import { HostControl } from './host-control.js';
import { HostLabelling } from './host-labelling.js';

/** `host.cordon.requested`, `uncordon`, `drain`, `label`. */
@Controller()
export class HostSchedulingHandler {
  constructor(
    @Inject(HostControl) private readonly control: HostControl,
    @Inject(HostLabelling) private readonly labelling: HostLabelling,
    @Inject(ContainerRelocation) private readonly relocation: ContainerRelocation,
  ) {}

  @OnEvent(SUBJECTS.hostCordonRequested, { concurrency: 4 })
  cordon(event: ReceivedEvent<HostActionRequested>): Promise<void> {
    return this.control.apply(event, 'cordon');
  }

  @OnEvent(SUBJECTS.hostUncordonRequested, { concurrency: 4 })
  uncordon(event: ReceivedEvent<HostActionRequested>): Promise<void> {
    return this.control.apply(event, 'uncordon');
  }

  @OnEvent(SUBJECTS.hostDrainRequested, { concurrency: 4 })
  async drain(event: ReceivedEvent<HostDrainRequested>): Promise<void> {
    await this.control.apply(event, 'drain');
    this.relocation.kick();
  }

  @OnEvent(SUBJECTS.hostLabelRequested, { concurrency: 4 })
  async label(event: ReceivedEvent<HostLabelRequested>): Promise<void> {
    await this.labelling.change(event);
    // A container that waits for a host may fit now.
    this.relocation.kick();
  }
}
