import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type ContainerUpdateRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { ContainerUpdate } from './container-update.js';

@Controller()
export class ContainerUpdateRequestedHandler {
  constructor(@Inject(ContainerUpdate) private readonly update: ContainerUpdate) {}

  @EventPattern<string>(SUBJECTS.containerUpdateRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<ContainerUpdateRequested>): Promise<void> {
    await this.update.apply(event);
  }
}
