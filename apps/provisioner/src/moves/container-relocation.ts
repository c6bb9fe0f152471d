/**
 * Moves containers between hosts: off a drained one, one after the other, to the one that a rebalance names, and away
 * from a lost one when its lease on their volumes has run out.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { containerStatus, desiredContainer, SUBJECTS, type VolumeTakeover } from '@plinth/contracts';
import { type Logger, LOGGER, type NextPass, newId, Outbox, type UnitOfWork, WorkLoop } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { lockContainer, saveContainer, saveMessage } from '../containers/container.store.js';
import { forgetGivenUp, rememberGivenUp } from '../containers/released-config.store.js';
import {
  containersToRelocate,
  countMoved,
  type Drain,
  drains,
  endDrain,
  hostStanding,
  hostThatReaches,
  leaseOf,
  containersLeaving,
  lockDrain,
  saveDrain,
} from './move.store.js';
import { releaseNetwork } from '../network/address.store.js';
import { keepPortsOn } from '../network/host-port.store.js';
import { MovePlaces } from './move-places.js';
import { RelocationBatch } from './relocation-batch.js';
import { tenantPolicy } from '../network/tenant-egress.store.js';
import { announceHost } from '../placement/node-status.store.js';
import { occupy, release } from '../placement/placement.store.js';
import { ProvisionerConfig } from '../config.js';
import { type ContainerRecord, factOf, statusOf } from '../containers/domain/container-record.js';
import { groupsOf } from '../placement/domain/groups.js';
import { groupsOfContainers, lockGroups } from '../placement/group.store.js';
import {
  arrived,
  givenUp,
  leaving,
  relocationOf,
  removedElsewhere,
  removedWithHost,
  desiredState,
} from './domain/relocation.js';

/** Where a rebalance moves a container, and why. */
interface Rebalanced {
  readonly to: string;
  readonly why: string;
}

/** The host was uncordoned, or drained again, while the drain decided: nothing of the decision is carried out. */
class DrainEnded extends Error {
  override readonly name = 'DrainEnded';
}

const PERIOD_MS = 1_000;
/** Containers of lost hosts that are looked for at once, and relocated in one transaction. */
const DUE = 2_560;
const BATCH = 128;
/** That are tried alone in one turn: each may look at all hosts. */
const ALONE = 50;
const MOST_PAUSE_MS = 500;
/** Containers of a drained host that are tried in one turn. */
const TRIES_PER_PASS = 20;

@Injectable()
export class ContainerRelocation {
  private readonly loop: WorkLoop;
  private draining = false;
  /** Ordinal of the container of a lost host that was tried last. */
  private after = '0';

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(RelocationBatch) private readonly batch: RelocationBatch,
    @Inject(MovePlaces) private readonly places: MovePlaces,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.moveAll(),
      periodMs: PERIOD_MS,
      failed: (error) => this.logger.warn({ err: error }, 'containers could not be moved; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Wakes the loop: a change that a drain waits for may have happened. */
  kick(): void {
    this.loop.kick();
  }

  /** A container runs, or was released: a drain may have waited for it. One that found no host waits for the next pass. */
  reported(): void {
    if (this.draining) this.kick();
  }

  /**
   * Moves a container to the named host as a drain does, if it fits there. Its groups have to be locked.
   * @param why for its history
   * @returns the reason if it can't
   */
  async moveTo(unit: UnitOfWork, id: string, to: string, why: string): Promise<string | undefined> {
    return this.leave(unit, id, { to, why });
  }

  /** Handles the release of the container by its host. @returns the record to save */
  async arrive(unit: UnitOfWork, record: ContainerRecord): Promise<ContainerRecord> {
    const from = record.config.host;
    await lockGroups(unit.db, groupsOf(record.config.tenant, record.config));
    // The release was reported again while the container waits for another host: its room is free already.
    if (!record.moving?.released) await release(unit.db, from, record.config.limits);
    const moving = record.moving ?? {
      reason: 'drain' as const,
      to: null,
      desired: 'running' as const,
      released: false,
    };
    const standing = moving.to === null ? undefined : await hostStanding(unit.db, moving.to);
    if (moving.to !== null && standing?.state !== 'lost') return this.settle(unit, record, moving.to);
    if (moving.to !== null) await release(unit.db, moving.to, record.config.limits);
    const place = await this.places.place(unit.db, record);
    if (place.ok) return this.settle(unit, record, place.host);
    return { ...record, moving: { ...moving, to: null, released: true }, message: place.message };
  }

  private async moveAll(): Promise<NextPass | undefined> {
    const isMore = await this.relocateSome();
    const active = await drains(this.source.manager);
    this.draining = active.length > 0;
    for (const { host } of active) await this.drainSome(host);
    return isMore ? 'again' : undefined;
  }

  /**
   * Those after the last that was tried: one that finds no room does not hold up the others. Half of the time is left to
   * whatever else needs the database.
   * @returns whether there are more
   */
  private async relocateSome(): Promise<boolean> {
    const { manager } = this.source;
    const due = await containersToRelocate(manager, this.config.PLINTH_HOST_LOST_SECONDS, this.after, DUE);
    let alone = 0;
    let hasMoved = false;
    for (let begin = 0; begin < due.length; begin += BATCH) {
      const begun = performance.now();
      const some = due.slice(begin, begin + BATCH).map(({ id }) => id);
      for (const id of await this.batch.relocate(some)) {
        if (this.loop.isStopping) return false;
        if (alone++ >= ALONE) break;
        if (await this.outbox.work({ correlationId: newId() }, (unit) => this.relocate(unit, id))) hasMoved = true;
      }
      this.after = due[Math.min(begin + BATCH, due.length) - 1]?.ordinal ?? '0';
      if (this.loop.isStopping) return false;
      await new Promise((resolve) => setTimeout(resolve, Math.min(MOST_PAUSE_MS, performance.now() - begun)));
      // Those that find no room wait for a second, as what was passed over does with them.
      if (alone >= ALONE) return hasMoved;
    }
    if (due.length < DUE) this.after = '0';
    return due.length === DUE;
  }

  /** Relocates a container whose host is lost, or which was released and found no other host. @returns whether it moves */
  private async relocate(unit: UnitOfWork, id: string): Promise<boolean> {
    const record = await lockContainer(unit.db, id);
    if (!record) return false;
    const { config } = record;
    // The record is read again under the lock: the host may be back.
    const isHostLost = (await hostStanding(unit.db, config.host))?.state === 'lost';
    const next = relocationOf(record, isHostLost, await leaseOf(unit.db, config.storageNode, config.host));
    if (next.kind === 'none') return false;
    if (next.kind === 'place') {
      const place = await this.places.place(unit.db, record);
      if (place.ok) await this.save(unit, await this.settle(unit, record, place.host));
      else await this.wait(unit, record, place.message);
      return place.ok;
    }
    const takeover = { from: config.host, renewal: next.lease.renewal };
    if (next.kind === 'remove') {
      await this.removeLost(unit, record, takeover);
      return true;
    }
    const { desired } = next;
    const place = await this.places.place(unit.db, record);
    if (!place.ok) {
      await this.wait(unit, record, `its host ${config.host} is lost; ${place.message}`);
      return false;
    }
    if (record.moving?.to) await release(unit.db, record.moving.to, config.limits);
    await release(unit.db, config.host, config.limits);
    const left = givenUp(config, new Date().toISOString());
    await rememberGivenUp(unit.db, config.host, left);
    unit.publish(desiredContainer(config.host, id), left);
    const moving = { ...record, moving: { reason: 'host-lost' as const, to: place.host, desired, released: true } };
    await this.save(unit, await this.settle(unit, { ...moving, config: left }, place.host, takeover));
    return true;
  }

  /**
   * Removes a container that no longer runs. Another host that reaches its data deletes them; the lost host clears its
   * own part when it is back.
   */
  private async removeLost(unit: UnitOfWork, record: ContainerRecord, takeover: VolumeTakeover): Promise<void> {
    const { config } = record;
    const from = config.host;
    const other = config.deleteData === true ? await hostThatReaches(unit.db, config.storageNode, from) : undefined;
    if (other === undefined && config.address) await releaseNetwork(unit.db, record.id);
    await release(unit.db, from, config.limits);
    await rememberGivenUp(unit.db, from, config);
    if (other !== undefined) {
      await occupy(unit.db, other, config.limits);
      const next = removedElsewhere(record, other, new Date().toISOString(), takeover);
      unit.publish(desiredContainer(other, record.id), next.config);
      await this.save(unit, next);
      return;
    }
    const next = removedWithHost(record);
    await saveContainer(unit.db, next, {
      at: new Date().toISOString(),
      kind: 'removed',
      generation: config.generation,
      message: next.message,
    });
    unit.publish(SUBJECTS.containerRemoved, factOf(config), { aggregate: `container:${record.id}` });
    unit.publish(containerStatus(record.id), statusOf(next));
  }

  private async drainSome(host: string): Promise<void> {
    try {
      await this.outbox.work({ correlationId: newId() }, (unit) => this.drain(unit, host));
    } catch (error) {
      if (!(error instanceof DrainEnded)) throw error;
    }
  }

  /** @throws DrainEnded */
  private async drain(turn: UnitOfWork, host: string): Promise<void> {
    const drain = await lockDrain(turn.db, host);
    if (!drain) return;
    const unit = turn.causedBy({ correlationId: drain.correlationId, causationId: drain.causationId });
    const { left, inProgress, next } = await containersLeaving(unit.db, host, drain.inHand);
    if (left === 0 && inProgress.length === 0) {
      const last = await endDrain(unit.db, host, drain);
      if (!last) return;
      unit.publish(SUBJECTS.hostDrained, { host, moved: last.moved }, { aggregate: `host:${host}` });
      await announceHost(unit, host);
      this.logger.info({ host, moved: last.moved }, 'host is drained');
      return;
    }
    const asked = [...inProgress];
    let waiting: Drain['waiting'] = null;
    const tried = asked.length < drain.parallel ? next.slice(0, TRIES_PER_PASS) : [];
    // Groups are locked before hosts, by all who lock both.
    await lockGroups(unit.db, await groupsOfContainers(unit.db, tried));
    for (const id of tried) {
      if (asked.length >= drain.parallel) break;
      const refusal = await this.leave(unit, id);
      if (refusal === undefined) asked.push(id);
      else waiting = refusal;
    }
    const isChanged = waiting !== drain.waiting || asked.join() !== drain.inHand.join();
    if (isChanged && !(await saveDrain(unit.db, host, drain, { waiting, inHand: asked }))) throw new DrainEnded();
    if (waiting !== drain.waiting) await announceHost(unit, host);
  }

  /** Reserves room on another host, then asks this one to release the container. @returns the reason if it can't */
  private async leave(unit: UnitOfWork, id: string, rebalance?: Rebalanced): Promise<string | undefined> {
    const record = await lockContainer(unit.db, id);
    const desired = record && desiredState(record);
    if (!record || record.moving || desired === undefined || record.state === 'lost')
      return rebalance && 'it is not there to be moved any more';
    const place = await this.places.place(unit.db, record, rebalance?.to);
    if (!place.ok) return rebalance ? place.message : `${record.config.name}: ${place.message}`;
    const next = leaving(record, place.host, desired, new Date().toISOString(), rebalance && 'rebalance');
    const { config } = next;
    unit.publish(desiredContainer(config.host, id), config);
    await saveContainer(unit.db, next, {
      at: config.decidedAt,
      kind: 'configured',
      generation: config.generation,
      message: `moves to ${place.host}${rebalance ? ` (rebalance: ${rebalance.why})` : ''}`,
    });
    unit.publish(containerStatus(id), statusOf(next));
    return undefined;
  }

  /** Starts the container where room was reserved for it. */
  private async settle(
    unit: UnitOfWork,
    record: ContainerRecord,
    to: string,
    takeover?: VolumeTakeover,
  ): Promise<ContainerRecord> {
    const from = record.config.host;
    const reason = record.moving?.reason ?? 'drain';
    const ports = record.config.ports ? await keepPortsOn(unit.db, record.id, to) : [];
    const policy = record.config.address && (await tenantPolicy(unit.db, record.config.tenant));
    const desired = desiredState(record) ?? 'running';
    const next = arrived(record, to, desired, new Date().toISOString(), ports, takeover, policy);
    unit.publish(desiredContainer(to, next.id), next.config);
    unit.publish(
      SUBJECTS.containerMoved,
      { ...factOf(next.config), from, reason },
      { aggregate: `container:${next.id}` },
    );
    await countMoved(unit.db, from);
    // This may be the host that was to release the container.
    await forgetGivenUp(unit.db, to, next.id);
    this.logger.info({ containerId: next.id, from, to, reason }, 'container moves');
    return next;
  }

  private async save(unit: UnitOfWork, record: ContainerRecord): Promise<void> {
    const { config } = record;
    await saveContainer(unit.db, record, {
      at: config.decidedAt,
      kind: 'moved',
      generation: config.generation,
      message: `to ${config.host}`,
    });
    unit.publish(containerStatus(record.id), statusOf(record));
  }

  private async wait(unit: UnitOfWork, record: ContainerRecord, message: string): Promise<void> {
    if (record.message === message) return;
    await saveMessage(unit.db, record.id, message);
    unit.publish(containerStatus(record.id), statusOf({ ...record, message }));
  }
}
