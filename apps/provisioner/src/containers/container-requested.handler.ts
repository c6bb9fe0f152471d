import { Controller, Inject } from '@nestjs/common';
import { type ContainerRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { IN_PROGRESS, RequestIntake } from './request-intake.js';

/** `container.requested`: resolve the image, choose a host, write the config, publish it to the host. */
@Controller()
export class ContainerRequestedHandler {
  constructor(@Inject(RequestIntake) private readonly intake: RequestIntake) {}

  @OnEvent(SUBJECTS.containerRequested, { concurrency: IN_PROGRESS })
  handle(event: ReceivedEvent<ContainerRequested>): Promise<void> {
    return this.intake.take(event);
  }
}
