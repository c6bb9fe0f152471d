import { Controller, Inject } from '@nestjs/common';
import { SUBJECTS, type TenantChangeRequested } from '@plinth/contracts';
import { causeOf, claimEvent, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { savePolicy } from './tenant-egress.store.js';

/** `tenant.change.requested`: hosts are sent the policy by the feed. */
@Controller()
export class TenantChangeHandler {
  constructor(@Inject(Outbox) private readonly outbox: Outbox) {}

  @OnEvent(SUBJECTS.tenantChangeRequested, { concurrency: 4 })
  async change(event: ReceivedEvent<TenantChangeRequested>): Promise<void> {
    const { tenant, egress } = event.data;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const revision = await savePolicy(unit.db, tenant, egress);
      unit.publish(
        SUBJECTS.tenantChanged,
        { tenant, requestId: event.id, egress, revision },
        { aggregate: `tenant:${tenant}` },
      );
    });
  }
}
