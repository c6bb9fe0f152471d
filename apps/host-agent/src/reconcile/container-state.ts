/** One container as this agent knows it while it runs; what must outlive the agent is in the record. */
import type { ContainerSpec } from '@plinth/container-runtime';
import type { ContainerConfig, ContainerReport } from '@plinth/contracts';
import type { Health } from '../domain/health.js';
import type { LocalRecord, ReportBody } from '../domain/local-record.js';
import { effectiveConfig } from '../domain/trial.js';
import type { Observed } from '../domain/observed.js';
import type { OpenVolume } from '../adapters/data-volume.js';
import type { AgentServices } from './agent-services.js';

/** A start that is being prepared: filled in by the steps before it. */
export interface Preparation {
  readonly begunAtMs: number;
  /** From `performance.now()`. */
  readonly begun: number;
  /** Under which it was prepared. */
  lease?: string;
  volume?: OpenVolume;
  spec?: ContainerSpec;
}

export class ContainerState {
  /** Resolves when the present config is safe on disk. */
  saved: Promise<void> = Promise.resolve();
  /** When the present config arrived; the begin of the start that it causes. */
  arrivedAtMs: number | undefined;
  preparation: Preparation | undefined;
  /** Number of the run that this agent has ended because no lease covered it; see LocalRecord.starts. The lease may be held again, in the same term, by the time that the end is seen. */
  endedWithLease: number | undefined;
  /** As the checks have found it; the record follows. */
  health: Health | undefined;

  constructor(
    private readonly services: AgentServices,
    public config: ContainerConfig,
    public record: LocalRecord,
    public observed: Observed,
  ) {}

  /** The config to act on; see domain/trial.ts. */
  get effective(): ContainerConfig {
    return effectiveConfig(this.config, this.record);
  }

  get id(): string {
    return this.config.containerId;
  }

  /** Resolves when the change would outlive this process. */
  async remember(change: Partial<LocalRecord>): Promise<void> {
    this.record = { ...this.record, ...change, bootId: this.services.bootId };
    await this.services.store.saveRecord(this.id, this.record);
  }

  /** Resolves when the report would outlive this process. */
  async report(body: ReportBody, change: Partial<LocalRecord> = {}): Promise<void> {
    const sequence = this.record.sequence + 1;
    const { clock } = this.services;
    const report: ContainerReport = {
      ...body,
      ...(body.begunAt !== undefined && { begunAt: clock.timeOfDay(body.begunAt) }),
      ...(body.startedAt !== undefined && { startedAt: clock.timeOfDay(body.startedAt) }),
      host: this.services.host,
      containerId: this.id,
      sequence,
      after: this.record.reported,
      at: new Date().toISOString(),
    };
    // A verdict, or a change of health, is said beside the present state, not in its place.
    const isBeside = body.updateId !== undefined || body.kind === 'healthy' || body.kind === 'unhealthy';
    const announced = isBeside ? this.record.announced : body;
    const sent = this.services.reporter.send(report, this.record.cause);
    // What is not reported with every later state is not remembered as reported before it is in the journal.
    if (isBeside) await sent;
    await Promise.all([sent, this.remember({ ...change, announced, sequence, reported: sequence })]);
  }
}
