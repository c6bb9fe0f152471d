/** Plans a rebalance, begins one, cancels one. */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import {
  REBALANCE_DEFAULTS,
  type RebalanceCancelRequested,
  type RebalanceDetails,
  type RebalanceOptions,
  type RebalancePlan,
  type RebalanceRejected,
  type RebalanceRequested,
  SUBJECTS,
} from '@plinth/contracts';
import { causeOf, claimEvent, newId, Outbox, type ReceivedEvent, type UnitOfWork } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { HostDirectory } from '../placement/host-directory.js';
import { EVEN_SHARE } from './domain/balance-moves.js';
import { planInSteps } from './domain/rebalance-plan.js';
import { loadFleet } from './fleet.store.js';
import { inSlices } from './in-slices.js';
import { RebalanceProgress } from './rebalance-progress.js';
import {
  activeRebalance,
  countMoves,
  insertRebalance,
  isDatacenter,
  lockRebalance,
  rebalanceDetails,
  saveState,
} from './rebalance.store.js';

type Refusal = Pick<RebalanceRejected, 'reason' | 'message' | 'rebalanceId'>;
export type PlanAnswer = { readonly ok: true; readonly plan: RebalancePlan } | ({ readonly ok: false } & Refusal);

const MINUTE_MS = 60_000;

@Injectable()
export class RebalanceControl {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(RebalanceProgress) private readonly progress: RebalanceProgress,
    @Inject(HostDirectory) private readonly directory: HostDirectory,
  ) {}

  /** What would be moved now. */
  async plan(options: RebalanceOptions): Promise<PlanAnswer> {
    const { manager } = this.source;
    const { datacenter, tenant } = options;
    if (datacenter !== undefined && !(await isDatacenter(manager, datacenter)))
      return {
        ok: false,
        reason: 'datacenter-not-found',
        message: `no host is in a data centre ${datacenter}; plinth hosts lists all hosts`,
      };
    const {
      thresholdPercent = REBALANCE_DEFAULTS.thresholdPercent,
      cooldownMinutes = REBALANCE_DEFAULTS.cooldownMinutes,
      maxMoves = REBALANCE_DEFAULTS.maxMoves,
    } = options;
    const fleet = await loadFleet(manager, {
      cpuOvercommit: this.config.PLINTH_CPU_OVERCOMMIT,
      cooldownMs: cooldownMinutes * MINUTE_MS,
      leastGap: (thresholdPercent / 100) * EVEN_SHARE,
      tenant,
    });
    // Where a move of the plan may go is decided by what the plan was made on.
    this.directory.replace(fleet.hosts);
    const steps = planInSteps(fleet, { datacenter, tenant, thresholdPercent, maxMoves });
    return { ok: true, plan: await inSlices(steps) };
  }

  details(id: string | undefined): Promise<RebalanceDetails | undefined> {
    return rebalanceDetails(this.source.manager, id);
  }

  async start(event: ReceivedEvent<RebalanceRequested>): Promise<void> {
    // The plan is made before the transaction: nothing waits for it.
    const running = await activeRebalance(this.source.manager);
    const answer: PlanAnswer = running === undefined ? await this.plan(event.data) : isRunning(running);
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const refusal = answer.ok ? await this.begin(unit, event, answer.plan) : answer;
      if (!refusal) return;
      const { reason, message, rebalanceId } = refusal;
      unit.refuse(SUBJECTS.rebalanceRejected, { operation: 'start', reason, message, rebalanceId });
    });
    this.progress.kick();
  }

  async cancel(event: ReceivedEvent<RebalanceCancelRequested>): Promise<void> {
    const { rebalanceId } = event.data;
    await this.outbox.work(causeOf(event), async (unit) => {
      if (!(await claimEvent(unit.db, event.subject, event.id))) return;
      const refuse = (reason: RebalanceRejected['reason'], message: string): void =>
        unit.refuse(SUBJECTS.rebalanceRejected, { operation: 'cancel', reason, message, rebalanceId });
      const row = await lockRebalance(unit.db, rebalanceId);
      if (!row) return refuse('rebalance-not-found', `there is no rebalance ${rebalanceId}`);
      if (row.state !== 'running') return refuse('wrong-state', `the rebalance is ${row.state}`);
      await saveState(unit.db, rebalanceId, 'cancelling');
      const counts = await countMoves(unit.db, rebalanceId);
      unit.publish(
        SUBJECTS.rebalanceCancelled,
        {
          rebalanceId,
          state: 'cancelling',
          counts,
          message: `a person cancelled it; ${counts.moving} in progress end by themselves`,
        },
        { aggregate: `rebalance:${rebalanceId}` },
      );
    });
    this.progress.kick();
  }

  private async begin(
    unit: UnitOfWork,
    { id: requestId, data: request, correlationId }: ReceivedEvent<RebalanceRequested>,
    plan: RebalancePlan,
  ): Promise<Refusal | undefined> {
    if (plan.moves.length === 0)
      return {
        reason: 'nothing-to-move',
        message: 'no container has to move, or none can; plinth rebalance says more',
      };
    const id = newId();
    if (!(await insertRebalance(unit.db, { id, requestId, correlationId, request, plan })))
      return isRunning(await activeRebalance(unit.db));
    const counts = await countMoves(unit.db, id);
    const message = `${counts.total} moves are planned`;
    unit.publish(
      SUBJECTS.rebalanceStarted,
      { rebalanceId: id, state: 'running', counts, message, requestId },
      { aggregate: `rebalance:${id}` },
    );
    return undefined;
  }
}

function isRunning(id: string | undefined): { readonly ok: false } & Refusal {
  const which = id === undefined ? 'another rebalance' : `the rebalance ${id.slice(0, 12)}`;
  const message = `${which} has not ended; plinth rebalance show says how far it is, plinth rebalance cancel ends it`;
  return { ok: false, reason: 'rebalance-running', message, ...(id !== undefined && { rebalanceId: id }) };
}
