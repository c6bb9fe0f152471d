import { Controller, Inject } from '@nestjs/common';
import { type ContainerStartRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';

@Controller()
export class ContainerStartRequestedHandler {
  constructor(@Inject(ContainerAction) private readonly action: ContainerAction) {}

  @OnEvent(SUBJECTS.containerStartRequested, { concurrency: 8 })
  async handle(event: ReceivedEvent<ContainerStartRequested>): Promise<void> {
    await this.action.apply(event, { kind: 'start' });
  }
}
