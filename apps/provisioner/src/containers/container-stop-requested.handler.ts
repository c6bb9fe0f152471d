import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type ContainerStopRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';

@Controller()
export class ContainerStopRequestedHandler {
  constructor(@Inject(ContainerAction) private readonly action: ContainerAction) {}

  @EventPattern<string>(SUBJECTS.containerStopRequested, { concurrency: 8 })
  async handle(event: ReceivedEvent<ContainerStopRequested>): Promise<void> {
    await this.action.apply(event, { kind: 'stop' });
  }
}
