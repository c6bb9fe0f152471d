import { createHash } from 'node:crypto';
import { Controller, Inject } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { canonicalJson, type ContainerRequested, SUBJECTS } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import { ContainerCreation } from '../container-creation.js';

/** `container.requested`: resolve the image, choose a host, write the config, tell the host. */
@Controller()
export class ContainerRequestedHandler {
  constructor(@Inject(ContainerCreation) private readonly creation: ContainerCreation) {}

  @EventPattern<string>(SUBJECTS.containerRequested, { concurrency: 16 })
  async handle(event: ReceivedEvent<ContainerRequested>): Promise<void> {
    await this.creation.create(event, createHash('sha256').update(canonicalJson(event.data)).digest('hex'));
  }
}
