/** Cordon, uncordon, drain: one change of one host, in one transaction. */
import { Inject, Injectable } from '@nestjs/common';
import { type HostActionRequested, type HostDrainRequested, type HostOperation, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { setScheduling } from '../moves/move.store.js';
import { announceHost } from '../placement/node-status.store.js';

const DEFAULT_PARALLEL = 1;

@Injectable()
export class HostControl {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  async apply(
    event: ReceivedEvent<HostActionRequested | HostDrainRequested>,
    operation: Exclude<HostOperation, 'label'>,
  ): Promise<void> {
    const { host } = event.data;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const parallel = 'parallel' in event.data ? (event.data.parallel ?? DEFAULT_PARALLEL) : DEFAULT_PARALLEL;
      const drain = operation === 'drain' ? { parallel, moved: 0, waiting: null, inHand: [], ...causeOf(event) } : null;
      if (!(await setScheduling(unit.db, host, operation !== 'uncordon', drain))) {
        const message = `there is no host ${host}; plinth hosts lists all hosts`;
        unit.refuse(SUBJECTS.hostRejected, { operation, reason: 'host-not-found', message, host });
        return;
      }
      unit.publish(
        operation === 'uncordon' ? SUBJECTS.hostUncordoned : SUBJECTS.hostCordoned,
        { host },
        { aggregate: `host:${host}` },
      );
      await announceHost(unit, host);
    });
  }
}
