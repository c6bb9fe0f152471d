import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { type ContainerRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { RequestIntake } from './request-intake.js';

/** `container.requested`: resolve the image, choose a host, write the config, tell the host. */
@Controller()
export class ContainerRequestedHandler {
  constructor(@Inject(RequestIntake) private readonly intake: RequestIntake) {}

  @EventPattern<string>(SUBJECTS.containerRequested, { concurrency: 256 })
  handle(event: ReceivedEvent<ContainerRequested>): Promise<void> {
    return this.intake.take(event);
  }
}
