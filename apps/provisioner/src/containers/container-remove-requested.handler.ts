import { Controller, Inject } from '@nestjs/common';
import { type ContainerRemoveRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';

@Controller()
export class ContainerRemoveRequestedHandler {
  constructor(@Inject(ContainerAction) private readonly action: ContainerAction) {}

  @OnEvent(SUBJECTS.containerRemoveRequested, { concurrency: 8 })
  async handle(event: ReceivedEvent<ContainerRemoveRequested>): Promise<void> {
    await this.action.apply(event, { kind: 'remove', keepData: event.data.keepData ?? false });
  }
}
