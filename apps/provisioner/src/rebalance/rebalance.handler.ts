import { Controller, Inject } from '@nestjs/common';
import {
  QUERIES,
  type QueryReply,
  type RebalanceCancelRequested,
  type RebalanceDetails,
  type RebalancePlan,
  type RebalancePlanQuery,
  type RebalanceQuery,
  type RebalanceRequested,
  SUBJECTS,
} from '@plinth/contracts';
import { OnEvent, OnQuery, type ReceivedEvent } from '@plinth/service-kit';
import { RebalanceControl } from './rebalance-control.js';

/** `rebalance.requested`, `rebalance.cancel.requested`, `query.rebalance.plan`, `query.rebalance`. */
@Controller()
export class RebalanceHandler {
  constructor(@Inject(RebalanceControl) private readonly control: RebalanceControl) {}

  @OnEvent(SUBJECTS.rebalanceRequested, { concurrency: 1 })
  start(event: ReceivedEvent<RebalanceRequested>): Promise<void> {
    return this.control.start(event);
  }

  @OnEvent(SUBJECTS.rebalanceCancelRequested, { concurrency: 1 })
  cancel(event: ReceivedEvent<RebalanceCancelRequested>): Promise<void> {
    return this.control.cancel(event);
  }

  @OnQuery(QUERIES.rebalancePlan)
  async plan(query: RebalancePlanQuery): Promise<QueryReply<RebalancePlan>> {
    const answer = await this.control.plan(query);
    return answer.ok ? { ok: true, data: answer.plan } : { ok: false, reason: answer.reason, message: answer.message };
  }

  @OnQuery(QUERIES.rebalance)
  async details({ id }: RebalanceQuery): Promise<QueryReply<RebalanceDetails>> {
    const data = await this.control.details(id);
    if (data) return { ok: true, data };
    const message = id === undefined ? 'there was no rebalance yet' : `there is no rebalance ${id}`;
    return { ok: false, reason: 'rebalance-not-found', message };
  }
}
