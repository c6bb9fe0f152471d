import { Controller, Inject } from '@nestjs/common';
import { type ContainerStopRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';

@Controller()
export class ContainerStopRequestedHandler {
  constructor(@Inject(ContainerAction) private readonly action: ContainerAction) {}

  @OnEvent(SUBJECTS.containerStopRequested, { concurrency: 8 })
  async handle(event: ReceivedEvent<ContainerStopRequested>): Promise<void> {
    await this.action.apply(event, { kind: 'stop' });
  }
}
