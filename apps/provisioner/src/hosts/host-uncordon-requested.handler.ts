import { Controller, Inject } from '@nestjs/common';
import { type HostActionRequested, SUBJECTS } from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { HostControl } from './host-control.js';

@Controller()
export class HostUncordonRequestedHandler {
  constructor(@Inject(HostControl) private readonly control: HostControl) {}

  @OnEvent(SUBJECTS.hostUncordonRequested, { concurrency: 4 })
  async handle(event: ReceivedEvent<HostActionRequested>): Promise<void> {
    await this.control.apply(event, 'uncordon');
  }
}
