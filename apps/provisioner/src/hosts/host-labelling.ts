/** Labels that operators set on a host: one change, in one transaction. */
import { Inject, Injectable } from '@nestjs/common';
import { type HostLabelRequested, MAX_LABELS, SUBJECTS } from '@plinth/contracts';
import { causeOf, claimEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { announceHost } from '../placement/node-status.store.js';
import { changeLabels } from './label.store.js';

@Injectable()
export class HostLabelling {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  async change(event: ReceivedEvent<HostLabelRequested>): Promise<void> {
    const { host, set = {}, remove = [] } = event.data;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const labels = await changeLabels(unit.db, host, set, remove, MAX_LABELS);
      if (typeof labels === 'string') {
        const message = {
          'host-not-found': `there is no host ${host}; plinth hosts lists all hosts`,
          'too-many-labels': `${host} would have more than ${MAX_LABELS} labels; remove some with plinth host label ${host} KEY-`,
        }[labels];
        unit.refuse(SUBJECTS.hostRejected, { operation: 'label', reason: labels, message, host });
        return;
      }
      unit.publish(SUBJECTS.hostLabelled, { host, requestId: event.id, labels }, { aggregate: `host:${host}` });
      await announceHost(unit, host);
    });
  }
}
