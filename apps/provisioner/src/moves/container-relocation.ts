/** Moves containers between hosts: off a drained one, one after the other, and away from a lost one when its lease on their volumes has run out. */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import {
  containerStatus,
  desiredContainer,
  parseExactImageRef,
  SUBJECTS,
  type VolumeTakeover,
} from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, type OutboxEvent, WorkLoop } from '@plinth/service-kit';
import type { DataSource, EntityManager } from 'typeorm';
import { lockContainer, saveContainer, saveMessage } from '../containers/container.store.js';
import { forgetGivenUp, rememberGivenUp } from '../containers/given-up.store.js';
import {
  containersToRelocate,
  countMoved,
  type Drain,
  drains,
  hostStanding,
  hostThatReaches,
  leaseOf,
  containersLeaving,
  lockDrain,
  saveDrain,
} from './move.store.js';
import { loadPlacementView, occupy, release, reserve } from '../placement/placement.store.js';
import { ProvisionerConfig } from '../config.js';
import { type ContainerRecord, factOf, statusOf } from '../containers/domain/container-record.js';
import {
  choosePlacement,
  inDatacenter,
  noRoom,
  placementPolicy,
  type Resources,
} from '../placement/domain/placement.js';
import {
  arrived,
  givenUp,
  leaving,
  relocationOf,
  removedElsewhere,
  removedWithHost,
  wantedState,
} from './domain/relocation.js';

type Add = (event: OutboxEvent) => void;
interface Cause {
  readonly correlationId: string;
  readonly causationId?: string;
}
type Place = { readonly ok: true; readonly host: string } | { readonly ok: false; readonly message: string };

const PERIOD_MS = 1_000;
/** Containers of lost hosts that are looked at in one turn. */
const CONTAINERS_PER_PASS = 200;
/** Containers of a drained host that are tried in one turn. */
const TRIES_PER_PASS = 20;

@Injectable()
export class ContainerRelocation {
  private readonly loop: WorkLoop;
  private turnOfPlacement = 0;
  private draining = false;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
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

  /** Something may have changed that a drain waits for. */
  kick(): void {
    this.loop.kick();
  }

  /** A container runs: a drain may have waited for it. */
  started(): void {
    if (this.draining) this.kick();
  }

  /** The host has given the container up. @returns the record to save */
  async arrive(manager: EntityManager, add: Add, record: ContainerRecord, cause: Cause): Promise<ContainerRecord> {
    const from = record.config.host;
    // Said again while it waits for another host: its room is free already.
    if (!record.moving?.released) await release(manager, from, record.config.limits);
    const moving = record.moving ?? {
      reason: 'drain' as const,
      to: null,
      desired: 'running' as const,
      released: false,
    };
    const standing = moving.to === null ? undefined : await hostStanding(manager, moving.to);
    if (moving.to !== null && standing?.state !== 'lost') return this.settle(manager, add, record, moving.to, cause);
    if (moving.to !== null) await release(manager, moving.to, record.config.limits);
    const place = await this.place(manager, record);
    if (place.ok) return this.settle(manager, add, record, place.host, cause);
    return { ...record, moving: { ...moving, to: null, released: true }, message: place.message };
  }

  private async moveAll(): Promise<void> {
    for (const id of await containersToRelocate(
      this.source.manager,
      this.config.PLINTH_HOST_LOST_SECONDS,
      CONTAINERS_PER_PASS,
    )) {
      if (this.loop.isStopping) return;
      await this.outbox.transact((manager, add) => this.relocate(manager, add, id));
    }
    const active = await drains(this.source.manager);
    this.draining = active.length > 0;
    for (const { host } of active) await this.outbox.transact((manager, add) => this.drain(manager, add, host));
  }

  /** A container whose host is lost, or which was given up and found no other. */
  private async relocate(manager: EntityManager, add: Add, id: string): Promise<void> {
    const record = await lockContainer(manager, id);
    if (!record) return;
    const { config } = record;
    // Looked at again under the lock: it may be back.
    const isHostLost = (await hostStanding(manager, config.host))?.state === 'lost';
    const next = relocationOf(record, isHostLost, await leaseOf(manager, config.storageNode, config.host));
    if (next.kind === 'none') return;
    const cause = { correlationId: newId() };
    if (next.kind === 'place') {
      const place = await this.place(manager, record);
      if (place.ok) await this.save(manager, add, await this.settle(manager, add, record, place.host, cause), cause);
      else await this.wait(manager, add, record, place.message, cause);
      return;
    }
    const takeover = { from: config.host, renewal: next.lease.renewal };
    if (next.kind === 'remove') return this.removeLost(manager, add, record, cause, takeover);
    const { desired } = next;
    const place = await this.place(manager, record);
    if (!place.ok) return this.wait(manager, add, record, `its host ${config.host} is lost; ${place.message}`, cause);
    if (record.moving?.to) await release(manager, record.moving.to, config.limits);
    await release(manager, config.host, config.limits);
    const left = givenUp(config, new Date().toISOString());
    await rememberGivenUp(manager, config.host, left);
    add({ subject: desiredContainer(config.host, id), data: left, ...cause });
    const moving = { ...record, moving: { reason: 'host-lost' as const, to: place.host, desired, released: true } };
    await this.save(
      manager,
      add,
      await this.settle(manager, add, { ...moving, config: left }, place.host, cause, takeover),
      cause,
    );
  }

  /** Nothing of it runs any more. Its data are deleted by another host that reaches them; what the lost one has of it, it takes away when it is back. */
  private async removeLost(
    manager: EntityManager,
    add: Add,
    record: ContainerRecord,
    cause: Cause,
    takeover: VolumeTakeover,
  ): Promise<void> {
    const { config } = record;
    const from = config.host;
    await release(manager, from, config.limits);
    await rememberGivenUp(manager, from, config);
    const other = config.deleteData === true ? await hostThatReaches(manager, config.storageNode, from) : undefined;
    if (other !== undefined) {
      await occupy(manager, other, config.limits);
      const next = removedElsewhere(record, other, new Date().toISOString(), takeover);
      add({ subject: desiredContainer(other, record.id), data: next.config, ...cause });
      await this.save(manager, add, next, cause);
      return;
    }
    const next = removedWithHost(record);
    await saveContainer(manager, next, {
      at: new Date().toISOString(),
      kind: 'removed',
      generation: config.generation,
      message: next.message,
    });
    add({ subject: SUBJECTS.containerRemoved, aggregate: `container:${record.id}`, data: factOf(config), ...cause });
    add({ subject: containerStatus(record.id), data: statusOf(next), ...cause });
  }

  private async drain(manager: EntityManager, add: Add, host: string): Promise<void> {
    const drain = await lockDrain(manager, host);
    if (!drain) return;
    const cause = { correlationId: drain.correlationId, causationId: drain.causationId };
    const { left, inHand, next } = await containersLeaving(manager, host, drain.inHand);
    if (left === 0 && inHand.length === 0) {
      await saveDrain(manager, host, null);
      add({ subject: SUBJECTS.hostDrained, aggregate: `host:${host}`, data: { host, moved: drain.moved }, ...cause });
      this.logger.info({ host, moved: drain.moved }, 'host is drained');
      return;
    }
    const asked = [...inHand];
    let waiting: Drain['waiting'] = null;
    for (const id of next.slice(0, TRIES_PER_PASS)) {
      if (asked.length >= drain.parallel) break;
      const refusal = await this.leave(manager, add, id, cause);
      if (refusal === undefined) asked.push(id);
      else waiting = refusal;
    }
    if (waiting !== drain.waiting || asked.join() !== drain.inHand.join())
      await saveDrain(manager, host, { ...drain, waiting, inHand: asked });
  }

  /** Holds room on another host, then asks this one to give the container up. @returns why not */
  private async leave(manager: EntityManager, add: Add, id: string, cause: Cause): Promise<string | undefined> {
    const record = await lockContainer(manager, id);
    const desired = record && wantedState(record);
    if (!record || record.moving || desired === undefined || record.state === 'lost') return undefined;
    const place = await this.place(manager, record);
    if (!place.ok) return `${record.config.name}: ${place.message}`;
    const next = leaving(record, place.host, desired, new Date().toISOString());
    const { config } = next;
    add({ subject: desiredContainer(config.host, id), data: config, ...cause });
    await saveContainer(manager, next, {
      at: config.decidedAt,
      kind: 'configured',
      generation: config.generation,
      message: `moves to ${place.host}`,
    });
    add({ subject: containerStatus(id), data: statusOf(next), ...cause });
    return undefined;
  }

  /** Room was held for it. */
  private async settle(
    manager: EntityManager,
    add: Add,
    record: ContainerRecord,
    to: string,
    cause: Cause,
    takeover?: VolumeTakeover,
  ): Promise<ContainerRecord> {
    const from = record.config.host;
    const reason = record.moving?.reason ?? 'drain';
    const next = arrived(record, to, wantedState(record) ?? 'running', new Date().toISOString(), takeover);
    add({ subject: desiredContainer(to, next.id), data: next.config, ...cause });
    add({
      subject: SUBJECTS.containerMoved,
      aggregate: `container:${next.id}`,
      data: { ...factOf(next.config), from, reason },
      ...cause,
    });
    await countMoved(manager, from);
    // It may be the host that was to give it up.
    await forgetGivenUp(manager, to, next.id);
    this.logger.info({ containerId: next.id, from, to, reason }, 'container moves');
    return next;
  }

  private async save(manager: EntityManager, add: Add, record: ContainerRecord, cause: Cause): Promise<void> {
    const { config } = record;
    await saveContainer(manager, record, {
      at: config.decidedAt,
      kind: 'moved',
      generation: config.generation,
      message: `to ${config.host}`,
    });
    add({ subject: containerStatus(record.id), data: statusOf(record), ...cause });
  }

  private async wait(
    manager: EntityManager,
    add: Add,
    record: ContainerRecord,
    message: string,
    cause: Cause,
  ): Promise<void> {
    if (record.message === message) return;
    await saveMessage(manager, record.id, message);
    add({ subject: containerStatus(record.id), data: statusOf({ ...record, message }), ...cause });
  }

  /** Room on a host of the same data centre that reaches the container's volume. */
  private async place(manager: EntityManager, { config }: ContainerRecord): Promise<Place> {
    const { PLINTH_CPU_OVERCOMMIT: overcommit, PLINTH_HOST_LOST_SECONDS: lostSeconds } = this.config;
    const image = parseExactImageRef(config.image);
    if (!image) throw new Error(`${config.image} is no exact image`);
    const { hosts } = await loadPlacementView(manager, image.name, overcommit, lostSeconds);
    const datacenter = (await hostStanding(manager, config.host))?.datacenter;
    const others = inDatacenter(hosts, datacenter).filter(({ host }) => host !== config.host);
    const resources: Resources = { memoryBytes: config.limits.memoryBytes, cpus: config.limits.cpus, containers: 1 };
    const placement = choosePlacement(
      others,
      [config.storageNode],
      resources,
      placementPolicy(this.config.PLINTH_PLACEMENT),
      Math.random(),
      this.turnOfPlacement++,
    );
    if (!placement.ok)
      return placement.reason === 'no-host'
        ? { ok: false, message: `no other ready host reaches ${config.storageNode}, where its volume is` }
        : placement;
    for (const { host } of placement.hosts) {
      const room = await reserve(manager, host, image, resources, overcommit);
      if (room === 'reserved') return { ok: true, host };
      if (room === 'image-withdrawn')
        return { ok: false, message: `${config.image} was revoked, and nothing new starts on it` };
    }
    return { ok: false, message: noRoom(placement.hosts, resources) };
  }
}
