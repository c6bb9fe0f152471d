import { Controller, Inject } from '@nestjs/common';
import { type HostDrainRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerRelocation } from '../moves/container-relocation.js';
import { HostControl } from './host-control.js';

@Controller()
export class HostDrainRequestedHandler {
  constructor(
    @Inject(HostControl) private readonly control: HostControl,
    @Inject(ContainerRelocation) private readonly relocation: ContainerRelocation,
  ) {}

  @OnEvent(SUBJECTS.hostDrainRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<HostDrainRequested>): Promise<void> {
    await this.control.apply(event, 'drain');
    this.relocation.kick();
  }
}
