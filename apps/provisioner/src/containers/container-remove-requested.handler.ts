import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type ContainerRemoveRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';

@Controller()
export class ContainerRemoveRequestedHandler {
  constructor(@Inject(ContainerAction) private readonly action: ContainerAction) {}

  @EventPattern<string>(SUBJECTS.containerRemoveRequested, { concurrency: 8 })
  async handle(event: ReceivedEvent<ContainerRemoveRequested>): Promise<void> {
    await this.action.apply(event, { kind: 'remove', keepData: event.data.keepData ?? false });
  }
}
