import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type ContainerRestartRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';

@Controller()
export class ContainerRestartRequestedHandler {
  constructor(@Inject(ContainerAction) private readonly action: ContainerAction) {}

  @EventPattern<string>(SUBJECTS.containerRestartRequested, { concurrency: 8 })
  async handle(event: ReceivedEvent<ContainerRestartRequested>): Promise<void> {
    await this.action.apply(event, { kind: 'restart' });
  }
}
