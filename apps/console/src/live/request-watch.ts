/**
 * Follows requests to their outcome, and records it: those of the console, and those that people sent from elsewhere,
 * which carry who asked. Each copy does; the record takes the first.
 */
import { Inject, Injectable } from '@nestjs/common';
import type { EventEntry } from '@plinth/contracts/console';
import { type Envelope, type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { EventEmitter, once } from 'node:events';
import { EventFeed } from '../adapters/event-feed.js';
import { AuditStore } from '../adapters/postgres/audit.store.js';
import { PresentState } from '../adapters/present-state.js';
import { actNamed, actOfSubject, answeredBy, conclusionOf, type Seen, targetOf } from '../domain/request-progress.js';

/** Requests that are followed at once; the oldest are forgotten. */
const MOST_OPEN = 20_000;
const LOOK_FOR_LOST_MS = 5_000;

@Injectable()
export class RequestWatch {
  /** Names of acts by the ids of their requests. */
  private readonly open = new Map<string, string>();
  private readonly ends = new EventEmitter();
  private readonly lost: WorkLoop;

  constructor(
    @Inject(EventFeed) private readonly feed: EventFeed,
    @Inject(PresentState) private readonly present: PresentState,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.ends.setMaxListeners(0);
    this.lost = new WorkLoop({
      pass: () => this.endLost(),
      periodMs: LOOK_FOR_LOST_MS,
      failed: (error) => logger.warn({ err: error }, 'requests that were never published are looked for again'),
    });
  }

  async start(): Promise<void> {
    for (const { requestId, act } of await this.audit.open()) this.follow(requestId, act);
    this.feed.onEvent((entry) => this.take(entry));
    this.present.on('status', (subject, envelope) => this.takeStatus(subject, envelope));
    this.lost.start(LOOK_FOR_LOST_MS);
  }

  async stop(): Promise<void> {
    await this.lost.stop();
    this.ends.removeAllListeners();
  }

  follow(requestId: string, act: string): void {
    this.open.set(requestId, act);
    if (this.open.size <= MOST_OPEN) return;
    const [oldest] = this.open.keys();
    if (oldest !== undefined) this.open.delete(oldest);
  }

  /** Returns when its outcome is on record, or the time is over. Ask for the record afterwards. */
  async ended(requestId: string, waitMs: number): Promise<void> {
    if (waitMs <= 0 || !this.open.has(requestId)) return;
    const signal = AbortSignal.timeout(waitMs);
    try {
      await once(this.ends, requestId, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  private async take(entry: EventEntry): Promise<void> {
    const act = actOfSubject(entry.subject);
    if (!act) return this.conclude(entry);
    // Programs of upstream systems carry no name of a person.
    if (entry.actor === null) return;
    const known = targetOf(act, entry.data);
    const tenant = known.tenant ?? this.present.state.get('containers', known.target ?? '')?.tenant ?? null;
    await this.audit.insertAsked({
      actor: entry.actor,
      via: 'bus',
      address: null,
      act: act.name,
      target: known.target,
      tenant,
      why: null,
      requestId: entry.id,
      digest: null,
    });
    await this.audit.published(entry.id);
    this.follow(entry.id, act.name);
  }

  /** The console died, or the bus did not answer, between the record of an act and its publication. */
  private async endLost(): Promise<void> {
    if (!this.feed.isCaughtUp) return;
    for (const requestId of await this.audit.endLost()) {
      this.logger.warn({ requestId }, 'a request was on record and never published; it has failed');
      this.open.delete(requestId);
      this.ends.emit(requestId);
    }
  }

  private takeStatus(subject: string, { correlationId, causationId }: Envelope): void {
    this.conclude({ subject, correlationId, causationId, data: {} }).catch((error: unknown) =>
      // Its facts follow on the other stream, or it stays open.
      this.logger.warn({ err: error, subject }, 'an outcome was not recorded'),
    );
  }

  private async conclude(seen: Seen): Promise<void> {
    if (this.open.size === 0) return;
    for (const id of answeredBy(seen)) {
      const act = actNamed(this.open.get(id) ?? '');
      const conclusion = act && conclusionOf(act, id, seen);
      if (!conclusion) continue;
      await this.audit.ended(id, conclusion);
      this.open.delete(id);
      this.ends.emit(id);
    }
  }
}
