/** All containers of this host: takes over running ones, accepts new configs, and checks all of them periodically. */
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
import { effectiveConfig } from '../domain/trial.js';
import type { ImageUses } from '../domain/image-supply.js';
import type { DiskUse } from '../adapters/volume-limits.js';
import type { StoredContainer } from '../adapters/container-store.js';
import { ContainerActor } from './container-actor.js';
import { ContainerState } from './container-state.js';
import type { AgentServices } from './agent-services.js';

const CHECK_PERIOD_MS = 30_000;
/** How long tenants may reach each other after another program has deleted the rules. */
const GUARD_RULES_MS = 200;
/** Containers checked between two turns of the event loop. */
const CHECKED_AT_ONCE = 10;
const ROTATE_MS = 5_000;
const SAVE_RETRY_MS = 1_000;
/** Tombstones that are looked up on the bus in one check. */
const TOMBSTONES_PER_CHECK = 64;
/** Desired states, and reports, of a container that has left this host. */
const GONE: readonly string[] = ['removed', 'released'];

export class Fleet {
  private readonly actors = new Map<string, ContainerActor>();
  private readonly loops: WorkLoop[] = [];
  private closing = false;
  /** By container: what runs although its config can't be read; it comes again from the bus. */
  private readonly runningUnread = new Map<string, string>();
  private isStillDesired: ((id: string) => Promise<boolean>) | undefined;

  constructor(private readonly services: AgentServices) {}

  /** Takes over stored configs and running containers; needs no NATS. */
  async takeOver(): Promise<void> {
    const { store, containers, logger, reporter } = this.services;
    const { containers: stored, unreadable } = await store.readAll();
    for (const { id, problems } of unreadable)
      logger.error({ containerId: id, problems }, 'stored config is not readable; it comes again from the bus');
    await reporter.recover();
    await containers.removeStrayViews(this.services.networks.processes);
    const observed = containers.observeAll();
    if (containers.watchExits((id) => this.actors.get(id)?.observeAgain()) === 'poll')
      logger.warn('no inotify instance is left: exits are noticed a second late; raise fs.inotify.max_user_instances');
    for (const { config } of stored) this.services.policies.learn(config);
    this.takeOverNetworks(stored, observed);
    const spared = new Set(unreadable.map(({ id }) => id));
    for (const id of spared) {
      const seen = observed.get(id);
      if (seen?.kind === 'running' && seen.image !== undefined) this.runningUnread.set(id, seen.image);
    }
    for (const entry of stored) {
      spared.add(entry.config.containerId);
      await containers.endInterruptedCommands(entry.config.containerId);
      this.adopt(entry, observed.get(entry.config.containerId) ?? ABSENT);
    }
    const unknown = [...observed.keys()].filter((id) => !spared.has(id));
    for (const id of unknown) {
      logger.warn({ containerId: id }, 'a container without a config is removed');
      await containers.delete(id);
    }
    this.every(CHECK_PERIOD_MS, () => this.checkAll());
    this.every(this.services.networkCheckMs, async () => this.checkNetworks());
    this.every(GUARD_RULES_MS, async () => this.services.networks.guardRules());
    this.every(this.services.limitCheckMs, () => this.checkLimits());
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

  /** @param cause ids from the envelope of the message that carried the config */
  accept(config: ContainerConfig, cause: LocalRecord['cause']): void {
    if (this.closing) return;
    const actor = this.actors.get(config.containerId);
    if (actor && config.generation <= actor.state.config.generation) return;
    this.services.policies.learn(config);
    const now = this.services.clock.now();
    // A container that returns after it was removed or released begins with a new record.
    if (actor && isTombstone(actor.state) && !GONE.includes(config.desired)) {
      actor.state.record = this.freshRecord(now);
      actor.state.limitsReached = {};
    }
    const state = actor?.state ?? new ContainerState(this.services, config, this.freshRecord(now), ABSENT);
    state.config = config;
    state.record = { ...state.record, cause };
    state.arrivedAtMs = now;
    state.saved = this.save(config, state.saved);
    if (actor) actor.wake();
    else this.add(state).start();
    if (state.missing) this.services.supply?.kick();
  }

  has(id: string): boolean {
    const actor = this.actors.get(id);
    return actor !== undefined && !isTombstone(actor.state);
  }

  /** What its data take; undefined: they are not held to a limit. */
  diskUse(id: string): DiskUse | undefined {
    const state = this.actors.get(id)?.state;
    return state && this.services.volumes.use(state.effective);
  }

  /** Images by what the containers need them for. */
  imageUses(): ImageUses {
    const needed = new Set<string>();
    const inUse = new Set<string>();
    for (const { state } of this.actors.values()) {
      if (isTombstone(state)) continue;
      const { config, observed, record, preparation } = state;
      const images = [config.image, config.update?.knownGood.image, record.trial?.image, preparation?.image];
      if (observed.kind === 'running') images.push(observed.image);
      for (const image of images) if (image !== undefined) inUse.add(image);
      if (config.desired === 'running')
        for (const { image } of [state.effective, effectiveConfig(config, record)]) needed.add(image);
    }
    for (const [id, image] of this.runningUnread) if (!this.actors.has(id)) inUse.add(image);
    return { needed, inUse };
  }

  /** Plans again for the containers that an image concerns. */
  wakeFor(image: string): void {
    for (const actor of this.actors.values()) {
      const { config, effective } = actor.state;
      if (config.image === image || effective.image === image) actor.wake();
    }
  }

  /** Whether a container of the tenant has an address here. */
  serves(tenantNumber: number): boolean {
    return [...this.actors.values()].some(
      ({ state }) => state.config.tenantNumber === tenantNumber && !isTombstone(state),
    );
  }

  running(): readonly { readonly id: string; readonly pid: number }[] {
    return [...this.actors.values()].flatMap(({ state }) =>
      state.observed.kind === 'running' ? [{ id: state.id, pid: state.observed.pid }] : [],
    );
  }

  /** Kills every container on a storage node's volumes: no lease covers them any more. */
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

  /** Reports every container's present state again, for processes that may have missed it. */
  announceAll(): void {
    for (const actor of this.actors.values()) actor.announce();
  }

  /** From now on tombstones that the bus no longer holds are deleted. */
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
    // After a reboot only remains of a container can be left, and this agent is the first to observe them.
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

  /** Tries until it succeeds, because a full disk may be freed; steps that wait for it are not executed before. */
  private async save(config: ContainerConfig, before: Promise<void>): Promise<void> {
    await before;
    while (!this.closing) {
      try {
        return await this.services.store.saveConfig(config);
      } catch (error) {
        this.services.logger.error(
          { err: error, containerId: config.containerId },
          'config could not be stored; it has no effect until it is',
        );
        await new Promise((resolve) => setTimeout(resolve, SAVE_RETRY_MS));
      }
    }
  }

  /** Before the first container is acted on. One whose config can't be read is without rules until it comes again. */
  private takeOverNetworks(stored: readonly StoredContainer[], observed: ReadonlyMap<string, Observed>): void {
    const running = stored.flatMap(({ config, record }) => {
      const seen = observed.get(config.containerId);
      return seen?.kind === 'running'
        ? [{ config: effectiveConfig(config, record ?? emptyRecord(this.services.bootId)), pid: seen.pid }]
        : [];
    });
    this.services.networks.takeOver(running);
  }

  private checkNetworks(): void {
    const actors = [...this.actors.values()].filter(
      ({ state }) => state.observed.kind === 'running' || state.preparation !== undefined,
    );
    const pidOf = (id: string): number | undefined => {
      const seen = this.services.containers.observe(id);
      return seen.kind === 'running' && this.actors.get(id)?.state.preparation === undefined ? seen.pid : undefined;
    };
    this.services.networks.check(
      actors.map(({ state }) => state.effective),
      pidOf,
    );
  }

  private async checkLimits(): Promise<void> {
    let looked = 0;
    for (const actor of this.actors.values()) {
      if (++looked % CHECKED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      if (this.closing) return;
      if (this.services.limits.look(actor.state)) actor.wake();
    }
  }

  /** Finds changes for which no notification came. */
  private async checkAll(): Promise<void> {
    let looked = 0;
    for (const [id, actor] of this.actors) {
      // An observation takes a fraction of a millisecond of this thread: starts must not wait for thousands of them.
      if (++looked % CHECKED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      if (actor.isBusy || this.closing) continue;
      const seen = this.services.containers.observe(id);
      const known = actor.state.observed;
      if (seen.kind !== known.kind || (seen.kind === 'running' && known.kind === 'running' && seen.pid !== known.pid))
        actor.observeAgain();
    }
    await this.sweepTombstones();
    this.services.volumeLimits.sweep();
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
      failed: (error) =>
        this.services.logger.error({ err: error }, 'periodic work failed; it is tried again in the next period'),
    });
    this.loops.push(loop);
    loop.start(periodMs);
  }
}

function isTombstone({ record }: ContainerState): boolean {
  return GONE.includes(record.announced?.kind ?? '');
}
