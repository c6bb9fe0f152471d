/** The state of one container in this process; what must outlive the agent is in the record. */
import type { ContainerSpec } from '@plinth/container-runtime';
import type { ContainerConfig, ContainerReport } from '@plinth/contracts';
import type { LimitTallies } from '../domain/limit-hits.js';
import type { Health, LocalRecord, ReportBody } from '../domain/local-record.js';
import type { MissingImage } from '../domain/image-supply.js';
import { effectiveConfig, presentConfig } from '../domain/trial.js';
import type { Observed } from '../domain/observed.js';
import type { OpenVolume } from '../adapters/data-volume.js';
import type { AgentServices } from './agent-services.js';

/** A start in preparation: the steps before it fill it in. */
export interface Preparation {
  readonly begunAtMs: number;
  /** From `performance.now()`. */
  readonly begun: number;
  /** Term of the lease under which it was prepared. */
  lease?: string;
  /** Which image is started; it must not be removed meanwhile. */
  image?: string;
  volume?: OpenVolume;
  spec?: ContainerSpec;
}

const ADDITIONAL: readonly ContainerReport['kind'][] = ['healthy', 'unhealthy', 'limited'];

export class ContainerState {
  /** Resolves when the present config is safe on disk. */
  saved: Promise<void> = Promise.resolve();
  /** When the present config arrived: the beginning of the start that it causes. */
  arrivedAtMs: number | undefined;
  preparation: Preparation | undefined;
  /**
   * Number of the run that this agent has ended because no lease covered it; see LocalRecord.starts. The lease may be
   * held again, in the same term, when the end is observed.
   */
  endedWithLease: number | undefined;
  /** The stop, by the time that its record has, whose signal this process has sent. */
  signalledAtMs: number | undefined;
  /** Health according to the checks; the record is updated from it. */
  health: Health | undefined;
  /** Limits that it has reached; the record is updated from it. */
  limitsReached: LimitTallies;
  /** The last write of the record failed: the disk has an older one. */
  private isUnsaved = false;
  /** A report of the present state that could not be put into the journal; the record counts it as reported. */
  private unsent: ReportBody | undefined;

  constructor(
    private readonly services: AgentServices,
    public config: ContainerConfig,
    public record: LocalRecord,
    public observed: Observed,
  ) {
    this.limitsReached = record.limitsReached ?? {};
  }

  /** The config to plan for; see domain/trial.ts. */
  get present(): ContainerConfig {
    return presentConfig(this.config, this.record, this.missing);
  }

  /** The config to act on; see domain/trial.ts. */
  get effective(): ContainerConfig {
    return effectiveConfig(this.present, this.record);
  }

  /** Images that this host has to fetch first; undefined: none. */
  get missing(): ReadonlyMap<string, MissingImage> | undefined {
    const { supply } = this.services;
    if (!supply) return undefined;
    const { image } = effectiveConfig(this.config, this.record);
    return supply.missing(image === this.config.image ? [image] : [this.config.image, image]);
  }

  get id(): string {
    return this.config.containerId;
  }

  /** Resolves when the change would outlive this process. */
  async remember(change: Partial<LocalRecord>): Promise<void> {
    this.record = { ...this.record, ...change, bootId: this.services.bootId };
    this.isUnsaved = true;
    await this.services.store.saveRecord(this.id, this.record);
    this.isUnsaved = false;
  }

  /**
   * Does again what a full disk, say, has prevented. The planner never asks for it: it counts what the record in memory
   * has.
   */
  async finish(): Promise<void> {
    // Another report of the present state may have followed, or the container may have a new record.
    if (this.unsent !== undefined && this.unsent === this.record.announced) await this.report(this.unsent);
    if (this.isUnsaved) await this.remember({});
  }

  /** Resolves when the report would outlive this process. */
  async report(body: ReportBody, change: Partial<LocalRecord> = {}): Promise<void> {
    const sequence = this.record.sequence + 1;
    const { clock } = this.services;
    const addresses = body.kind === 'started' ? this.services.networks.addressesOf(this.id) : undefined;
    const report: ContainerReport = {
      ...body,
      ...(addresses !== undefined && { addresses: [...addresses] }),
      ...(body.begunAt !== undefined && { begunAt: clock.timeOfDay(body.begunAt) }),
      ...(body.startedAt !== undefined && { startedAt: clock.timeOfDay(body.startedAt) }),
      host: this.services.host,
      containerId: this.id,
      sequence,
      after: this.record.reported,
      at: new Date().toISOString(),
    };
    // A verdict, a change of health, or a limit is reported in addition to the present state and does not replace it.
    const isAdditional = body.updateId !== undefined || ADDITIONAL.includes(body.kind);
    const { announced, reported } = this.record;
    const sent = this.services.reporter.send(report, this.record.cause);
    // A report that later states do not repeat is recorded as reported only after it is in the journal.
    if (isAdditional) await sent;
    const recorded = this.remember({
      ...change,
      announced: isAdditional ? announced : body,
      sequence,
      reported: sequence,
    });
    const [first, second] = await Promise.allSettled([sent, recorded]);
    if (first.status === 'rejected') {
      this.unsent = body;
      // No later report waits for one that was never sent.
      if (this.record.reported === sequence) this.record = { ...this.record, reported };
      throw first.reason;
    }
    this.unsent = undefined;
    if (second.status === 'rejected') throw second.reason;
  }
}
