import { Controller, Inject } from '@nestjs/common';
import {
  type ContainerChangeRequested,
  type ContainerRemoveRequested,
  type ContainerRestartRequested,
  type ContainerStartRequested,
  type ContainerStopRequested,
  SUBJECTS,
} from '@plinth/contracts';
import { OnEvent, type ReceivedEvent } from '@plinth/service-kit';
import { ContainerAction } from './container-action.js';
import { ContainerChange } from './container-change.js';

/** `container.stop.requested`, `start`, `restart`, `remove`, `change`. */
@Controller()
export class ContainerActionsHandler {
  constructor(
    @Inject(ContainerAction) private readonly action: ContainerAction,
    @Inject(ContainerChange) private readonly containerChange: ContainerChange,
  ) {}

  @OnEvent(SUBJECTS.containerChangeRequested, { concurrency: 8 })
  change(event: ReceivedEvent<ContainerChangeRequested>): Promise<void> {
    return this.containerChange.apply(event);
  }

  @OnEvent(SUBJECTS.containerStopRequested, { concurrency: 8 })
  stop(event: ReceivedEvent<ContainerStopRequested>): Promise<void> {
    return this.action.apply(event, { kind: 'stop' });
  }

  @OnEvent(SUBJECTS.containerStartRequested, { concurrency: 8 })
  start(event: ReceivedEvent<ContainerStartRequested>): Promise<void> {
    return this.action.apply(event, { kind: 'start' });
  }

  @OnEvent(SUBJECTS.containerRestartRequested, { concurrency: 8 })
  restart(event: ReceivedEvent<ContainerRestartRequested>): Promise<void> {
    return this.action.apply(event, { kind: 'restart' });
  }

  @OnEvent(SUBJECTS.containerRemoveRequested, { concurrency: 8 })
  remove(event: ReceivedEvent<ContainerRemoveRequested>): Promise<void> {
    return this.action.apply(event, { kind: 'remove', keepData: event.data.keepData ?? false });
  }
}
