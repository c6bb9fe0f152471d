/** Cordon, uncordon, drain: one change of one host, in one transaction. */
import { Inject, Injectable } from '@nestjs/common';
import {
  type HostActionRequested,
  type HostDrainRequested,
  type HostOperation,
  type HostRejected,
  SUBJECTS,
} from '@plinth/contracts';
import { claimEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { setScheduling } from '../moves/move.store.js';

const DEFAULT_PARALLEL = 1;

@Injectable()
export class HostControl {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  async apply(event: ReceivedEvent<HostActionRequested | HostDrainRequested>, operation: HostOperation): Promise<void> {
    const { host } = event.data;
    const cause = { correlationId: event.correlationId, causationId: event.id };
    await this.outbox.transact(async (manager, add) => {
      if (!(await claimEvent(manager, event.subject, event.id))) return;
      const parallel = 'parallel' in event.data ? (event.data.parallel ?? DEFAULT_PARALLEL) : DEFAULT_PARALLEL;
      const drain = operation === 'drain' ? { parallel, moved: 0, waiting: null, inHand: [], ...cause } : null;
      if (!(await setScheduling(manager, host, operation !== 'uncordon', drain))) {
        const message = `there is no host ${host}; plinth hosts shows what there is`;
        const data: HostRejected = {
          operation,
          requestId: event.id,
          reason: 'host-not-found',
          message,
          host,
          problems: [],
        };
        add({ subject: SUBJECTS.hostRejected, aggregate: `request:${event.id}`, data, ...cause });
        return;
      }
      add({
        subject: operation === 'uncordon' ? SUBJECTS.hostUncordoned : SUBJECTS.hostCordoned,
        aggregate: `host:${host}`,
        data: { host },
        ...cause,
      });
    });
  }
}
