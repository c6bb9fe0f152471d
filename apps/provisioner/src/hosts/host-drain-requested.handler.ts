import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type HostDrainRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { ContainerRelocation } from '../moves/container-relocation.js';
import { HostControl } from './host-control.js';

@Controller()
export class HostDrainRequestedHandler {
  constructor(
    @Inject(HostControl) private readonly control: HostControl,
    @Inject(ContainerRelocation) private readonly relocation: ContainerRelocation,
  ) {}

  @EventPattern<string>(SUBJECTS.hostDrainRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<HostDrainRequested>): Promise<void> {
    await this.control.apply(event, 'drain');
    this.relocation.kick();
  }
}
