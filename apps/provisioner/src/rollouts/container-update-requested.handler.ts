import { Controller, Inject } from '@nestjs/common';
import { type ContainerUpdateRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerUpdate } from './container-update.js';

@Controller()
export class ContainerUpdateRequestedHandler {
  constructor(@Inject(ContainerUpdate) private readonly update: ContainerUpdate) {}

  @OnEvent(SUBJECTS.containerUpdateRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<ContainerUpdateRequested>): Promise<void> {
    await this.update.apply(event);
  }
}
