/** All containers of this host: takes over what runs, accepts new configs, and looks again at everything from time to time. */
import type { ContainerConfig } from '@plinth/contracts';
import { WorkLoop } from '@plinth/service-kit';
import {
  adopt,
  afterAgentStart,
  afterReboot,
  emptyRecord,
  firstSequence,
  type LocalRecord,
} from '../domain/local-record.js';
import { ABSENT, type Observed } from '../domain/observed.js';
import type { StoredContainer } from '../adapters/container-store.js';
import { ContainerActor } from './container-actor.js';
import { ContainerState } from './container-state.js';
import type { AgentServices } from './agent-services.js';

const CHECK_PERIOD_MS = 30_000;
/** Between two turns of the event loop. */
const CHECKED_AT_ONCE = 10;
const ROTATE_MS = 5_000;
const SAVE_RETRY_MS = 1_000;
/** Tombstones that are asked for in one look. */
const TOMBSTONES_PER_CHECK = 64;
/** What a container is to be that this host has no more to do with. */
const GONE: readonly string[] = ['removed', 'released'];

export class Fleet {
  private readonly actors = new Map<string, ContainerActor>();
  private readonly loops: WorkLoop[] = [];
  private closing = false;
  private isStillDesired: ((id: string) => Promise<boolean>) | undefined;

  constructor(private readonly services: AgentServices) {}

  /** Takes over what is on disk and what runs; with NATS away too. */
  async takeOver(): Promise<void> {
    const { store, containers, logger, reporter } = this.services;
    const { containers: stored, unreadable } = await store.readAll();
    for (const { id, problems } of unreadable)
      logger.error({ containerId: id, problems }, 'stored config is not readable; the bus will bring it again');
    await reporter.recover();
    const observed = containers.observeAll();
    if (containers.watchExits((id) => this.actors.get(id)?.observeAgain()) === 'poll')
      logger.warn('no inotify instance is left: exits are noticed a second late; raise fs.inotify.max_user_instances');
    const spared = new Set(unreadable.map(({ id }) => id));
    for (const entry of stored) {
      spared.add(entry.config.containerId);
      await containers.endInterruptedCommands(entry.config.containerId);
      this.adopt(entry, observed.get(entry.config.containerId) ?? ABSENT);
    }
    const unknown = [...observed.keys()].filter((id) => !spared.has(id));
    for (const id of unknown) {
      logger.warn({ containerId: id }, 'a container without a config is removed');
      await containers.delete(id, false);
    }
    this.every(CHECK_PERIOD_MS, () => this.checkAll());
    this.every(ROTATE_MS, () =>
      this.services.logs.rotate((id, error) =>
        logger.warn({ err: error, containerId: id }, 'log could not be rotated'),
      ),
    );
    logger.info(
      { configs: stored.length, running: this.running().length, removed: unknown.length },
      'containers taken over',
    );
  }

  /** @param cause envelope of the message that brought it */
  accept(config: ContainerConfig, cause: LocalRecord['cause']): void {
    if (this.closing) return;
    const actor = this.actors.get(config.containerId);
    if (actor && config.generation <= actor.state.config.generation) return;
    const now = this.services.clock.now();
    // A container that comes back after it was given up begins anew.
    if (actor && isTombstone(actor.state) && !GONE.includes(config.desired)) actor.state.record = this.freshRecord(now);
    const state = actor?.state ?? new ContainerState(this.services, config, this.freshRecord(now), ABSENT);
    state.config = config;
    state.record = { ...state.record, cause };
    state.arrivedAtMs = now;
    state.saved = this.save(config, state.saved);
    if (actor) actor.wake();
    else this.add(state).start();
  }

  has(id: string): boolean {
    const actor = this.actors.get(id);
    return actor !== undefined && !isTombstone(actor.state);
  }

  running(): readonly { readonly id: string; readonly pid: number }[] {
    return [...this.actors.values()].flatMap(({ state }) =>
      state.observed.kind === 'running' ? [{ id: state.id, pid: state.observed.pid }] : [],
    );
  }

  /** Ends what runs on a storage node's volumes without asking it: no lease covers it any more. */
  async endAllOn(storageNode: string): Promise<void> {
    const affected = [...this.actors.values()].filter(
      ({ state }) => state.config.storageNode === storageNode && state.observed.kind === 'running',
    );
    await Promise.all(
      affected.map(({ state }) => {
        state.endedWithLease = state.record.starts;
        return this.services.containers.kill(state.id);
      }),
    );
  }

  /** Every container's present state, for whoever may have missed it. */
  announceAll(): void {
    for (const actor of this.actors.values()) actor.announce();
  }

  /** From now on tombstones that nobody names any more are cleared away. */
  clearTombstones(isStillDesired: (id: string) => Promise<boolean>): void {
    this.isStillDesired = isStillDesired;
  }

  /** Containers go on running. */
  async close(): Promise<void> {
    this.closing = true;
    for (const loop of this.loops) void loop.stop();
    await Promise.all([...this.actors.values()].map((actor) => actor.close()));
  }

  private adopt({ config, record: found }: StoredContainer, seen: Observed): void {
    const { bootId } = this.services;
    const now = this.services.clock.now();
    const before = found ?? emptyRecord(bootId);
    const rebooted = before.bootId !== bootId;
    // After a reboot nothing of it can be more than remains, and the new boot's agent is the first to see them.
    const observed: Observed = rebooted && seen.kind === 'exited' ? { kind: 'partial' } : seen;
    const record = adopt(afterAgentStart(afterReboot(before, bootId, now)), observed);
    const state = new ContainerState(
      this.services,
      config,
      { ...record, sequence: firstSequence(record, now) },
      observed,
    );
    const actor = this.add(state);
    actor.announce();
    actor.start();
  }

  private add(state: ContainerState): ContainerActor {
    const actor = new ContainerActor(state, this.services);
    this.actors.set(state.id, actor);
    return actor;
  }

  private freshRecord(nowMs: number): LocalRecord {
    const record = emptyRecord(this.services.bootId);
    return { ...record, sequence: firstSequence(record, nowMs) };
  }

  /** Until it succeeds: whoever waits for it does not act before. A full disk heals. */
  private async save(config: ContainerConfig, before: Promise<void>): Promise<void> {
    await before;
    while (!this.closing) {
      try {
        return await this.services.store.saveConfig(config);
      } catch (error) {
        this.services.logger.error(
          { err: error, containerId: config.containerId },
          'config could not be stored; nothing is done with it before it is',
        );
        await new Promise((resolve) => setTimeout(resolve, SAVE_RETRY_MS));
      }
    }
  }

  /** Catches what no notification told. */
  private async checkAll(): Promise<void> {
    let looked = 0;
    for (const [id, actor] of this.actors) {
      // A look takes a fraction of a millisecond of this thread: starts must not wait for thousands of them.
      if (++looked % CHECKED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      if (actor.isBusy || this.closing) continue;
      const seen = this.services.containers.observe(id);
      const known = actor.state.observed;
      if (seen.kind !== known.kind || (seen.kind === 'running' && known.kind === 'running' && seen.pid !== known.pid))
        actor.observeAgain();
    }
    await this.sweepTombstones();
  }

  private async sweepTombstones(): Promise<void> {
    if (!this.isStillDesired) return;
    const dead = [...this.actors.values()].filter((actor) => !actor.isBusy && isTombstone(actor.state));
    for (const actor of dead.slice(0, TOMBSTONES_PER_CHECK)) {
      const { id } = actor.state;
      if (
        this.services.reporter.isPending(id) ||
        (await this.isStillDesired(id)) ||
        !GONE.includes(actor.state.config.desired)
      )
        continue;
      await actor.close();
      this.actors.delete(id);
      await this.services.store.delete(id);
    }
  }

  private every(periodMs: number, work: () => Promise<void>): void {
    const loop = new WorkLoop({
      pass: work,
      periodMs,
      retryMs: () => periodMs,
      failed: (error) => this.services.logger.error({ err: error }, 'periodic look failed; the next one comes'),
    });
    this.loops.push(loop);
    loop.start(periodMs);
  }
}

function isTombstone({ record }: ContainerState): boolean {
  return GONE.includes(record.announced?.kind ?? '');
}
