import { Controller, Inject } from '@nestjs/common';
import { type ContainerRestartRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';

@Controller()
export class ContainerRestartRequestedHandler {
  constructor(@Inject(ContainerAction) private readonly action: ContainerAction) {}

  @OnEvent(SUBJECTS.containerRestartRequested, { concurrency: 8 })
  async handle(event: ReceivedEvent<ContainerRestartRequested>): Promise<void> {
    await this.action.apply(event, { kind: 'restart' });
  }
}
