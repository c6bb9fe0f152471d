/**
 * Many containers of lost hosts in one transaction: what is simple about them is read, reserved and written together.
 * What is not (ports, a removal, a drain, no place among the drawn hosts) is left to be decided alone
 * (container-relocation.ts).
 */
import { Inject, Injectable } from '@nestjs/common';
import {
  containerStatus,
  desiredContainer,
  parseExactImageRef,
  type PlacementRecord,
  SUBJECTS,
  type TenantPolicy,
} from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { lockContainers, saveContainers, savePlacements } from '../containers/container-set.store.js';
import { type ContainerRecord, factOf, statusOf } from '../containers/domain/container-record.js';
import { forgetAllGivenUp, rememberAllGivenUp } from '../containers/released-config.store.js';
import { tenantPolicies } from '../network/tenant-egress.store.js';
import { Groups, groupsOf } from '../placement/domain/groups.js';
import { kindKey, larger, sampleHosts, type SampleWish } from '../placement/domain/host-sample.js';
import type { PlacementNeeds } from '../placement/domain/needs.js';
import type { CandidateHost } from '../placement/domain/placement.js';
import { placementRecord } from '../placement/domain/placement-record.js';
import { groupMembers, lockGroups } from '../placement/group.store.js';
import { HostDirectory } from '../placement/host-directory.js';
import { lockFreeHosts, promotedImages, releaseShares, reserveAll, sharesOf } from '../placement/placement.store.js';
import { arrived, givenUp, hostsForMoved, needsOfMoved, type Relocation, relocationOf } from './domain/relocation.js';
import { hostStandings, leasesOf } from './move.store.js';

/** The room was there under the locks, and is not: nothing is carried out. */
class RelocationConflict extends Error {
  override readonly name = 'RelocationConflict';
}

interface Going {
  readonly record: ContainerRecord;
  readonly move: Extract<Relocation, { kind: 'move' }>;
  /** Without what its groups mean now. */
  readonly needs: PlacementNeeds;
}

interface Moved extends Going {
  readonly left: ContainerRecord['config'];
  readonly next: ContainerRecord;
  readonly placement: PlacementRecord;
}

type Policies = ReadonlyMap<string, TenantPolicy>;

@Injectable()
export class RelocationBatch {
  private turn = 0;

  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(HostDirectory) private readonly directory: HostDirectory,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @returns ids of those that have to be decided alone */
  async relocate(ids: readonly string[]): Promise<readonly string[]> {
    try {
      await this.directory.refresh();
      return await this.outbox.transactMany(async (manager, add) => {
        const { going, alone, policies } = await this.due(manager, ids);
        // Groups are locked before hosts, by all who lock both.
        const groups = await this.lockedGroups(manager, going);
        const hosts = await this.lockHosts(manager, going, groups);
        const { moved, without } = this.place(going, hosts, policies, groups);
        await this.write(manager, moved, () => new UnitOfWork(manager, { correlationId: newId() }, add));
        return [...alone, ...without.map(({ record }) => record.id)];
      });
    } catch (error) {
      this.logger.warn(
        { err: error, containers: ids.length },
        'containers could not be moved together; each is tried alone',
      );
      return ids;
    }
  }

  private async due(manager: EntityManager, ids: readonly string[]) {
    // One that another provisioner has is its own.
    const records = [...(await lockContainers(manager, ids, 'pass over')).values()];
    const standings = await hostStandings(manager, [...new Set(records.map(({ config }) => config.host))]);
    const leases = await leasesOf(
      manager,
      records.map(({ config: { storageNode, host } }) => ({ storageNode, host })),
    );
    const promoted = await promotedImages(manager, [...new Set(records.map(({ config }) => config.image))]);
    const policies: Policies = await tenantPolicies(manager, [...new Set(records.map(({ config }) => config.tenant))]);
    const going: Going[] = [];
    const alone: string[] = [];
    for (const record of records) {
      const { config } = record;
      const standing = standings.get(config.host);
      const move = relocationOf(record, standing?.state === 'lost', leases(config.storageNode, config.host));
      if (move.kind === 'none') continue;
      const isSimple =
        move.kind === 'move' &&
        record.moving === null &&
        !config.ports &&
        standing?.cordoned === false &&
        promoted.has(config.image);
      if (!isSimple) {
        alone.push(record.id);
        continue;
      }
      const { datacenter } = standing;
      const image = promoted.get(config.image);
      const view = { image, datacenter, wishes: [], taken: [], tenantPolicy: policies.get(config.tenant) };
      going.push({ record, move, needs: needsOfMoved(config, view) });
    }
    return { going, alone, policies };
  }

  /** Those that the containers name; undefined: they name none. */
  private async lockedGroups(manager: EntityManager, going: readonly Going[]): Promise<Groups | undefined> {
    const named = going.flatMap(({ record: { config } }) => groupsOf(config.tenant, config));
    if (named.length === 0) return undefined;
    await lockGroups(manager, named);
    return new Groups(await groupMembers(manager, named), this.directory.places);
  }

  private async lockHosts(
    manager: EntityManager,
    going: readonly Going[],
    groups: Groups | undefined,
  ): Promise<CandidateHost[]> {
    const wishes = new Map<string, SampleWish>();
    for (const one of going) {
      const { record } = one;
      const needs = needsIn(groups, one);
      const key = kindKey(needs, record.config.image);
      const before = wishes.get(key);
      const resources = before ? larger(before.needs.resources, needs.resources) : needs.resources;
      wishes.set(key, { containers: (before?.containers ?? 0) + 1, needs: { ...needs, resources } });
    }
    const { PLINTH_PLACEMENT: policy, PLINTH_CPU_OVERCOMMIT: overcommit } = this.config;
    const names = sampleHosts(this.directory.hosts, [...wishes.values()], policy, Math.random, this.turn++);
    return lockFreeHosts(manager, [...names], overcommit);
  }

  private place(
    going: readonly Going[],
    locked: readonly CandidateHost[],
    policies: Policies,
    groups: Groups | undefined,
  ) {
    const hosts = new Map(locked.map((host) => [host.host, host]));
    const { PLINTH_PLACEMENT: policy } = this.config;
    const decidedAt = new Date().toISOString();
    const moved: Moved[] = [];
    const without: Going[] = [];
    for (const one of going) {
      const { record, move } = one;
      const { config } = record;
      const { tenant, group } = config;
      // It is counted where it goes, not where it was.
      const putBack = group === undefined ? undefined : groups?.take({ tenant, group }, config.host);
      const needs = needsIn(groups, one);
      const others = [...hosts.values()].filter(({ host }) => host !== config.host);
      const choice = hostsForMoved(others, needs, policy, Math.random(), this.turn++);
      const to = choice.ok ? choice.ranked[0]?.host : undefined;
      if (!choice.ok || !to) {
        putBack?.();
        without.push(one);
        continue;
      }
      if (group !== undefined) groups?.add({ tenant, group }, to);
      const { resources } = needs;
      const full = hosts.get(to.host) ?? to;
      hosts.set(to.host, {
        ...full,
        allocated: {
          memoryBytes: full.allocated.memoryBytes + resources.memoryBytes,
          cpus: full.allocated.cpus + resources.cpus,
          containers: full.allocated.containers + 1,
        },
      });
      const left = givenUp(config, decidedAt);
      const leaving: ContainerRecord = {
        ...record,
        config: left,
        moving: { reason: 'host-lost', to: to.host, desired: move.desired, released: true },
      };
      const takeover = { from: config.host, renewal: move.lease.renewal };
      const known = config.address && policies.get(config.tenant);
      const { ranked, exclusions } = choice;
      const hostsInAll = this.directory.hosts.length;
      const decided = { policy, ranked, exclusions, lookedAt: others.length, hosts: hostsInAll };
      moved.push({
        ...one,
        left,
        next: arrived(leaving, to.host, move.desired, decidedAt, [], takeover, known),
        placement: placementRecord(to.host, decidedAt, decided),
      });
    }
    this.directory.note(hosts.values());
    return { moved, without };
  }

  private async write(manager: EntityManager, moved: readonly Moved[], unitOf: () => UnitOfWork): Promise<void> {
    if (moved.length === 0) return;
    const images = [...new Set(moved.map(({ next }) => next.config.image))].flatMap(
      (image) => parseExactImageRef(image) ?? [],
    );
    const shares = sharesOf(moved.map(({ next }) => next.config));
    if (!(await reserveAll(manager, shares, images, this.config.PLINTH_CPU_OVERCOMMIT)))
      throw new RelocationConflict('an image was withdrawn, or a host had less room than when it was locked');
    await releaseShares(manager, sharesOf(moved.map(({ record }) => record.config)));
    await rememberAllGivenUp(
      manager,
      moved.map(({ left }) => ({ host: left.host, config: left })),
    );
    // One of them may be the host that was to release the container.
    await forgetAllGivenUp(
      manager,
      moved.map(({ next }) => ({ writer: next.config.host, containerId: next.id })),
    );
    await saveContainers(
      manager,
      moved.map(({ next }) => {
        const { decidedAt, generation, host } = next.config;
        return { record: next, entry: { at: decidedAt, kind: 'moved', generation, message: `to ${host}` } };
      }),
    );
    await savePlacements(
      manager,
      moved.map(({ next, placement }) => ({ id: next.id, placement })),
    );
    for (const { left, next } of moved) {
      const unit = unitOf();
      unit.publish(desiredContainer(left.host, next.id), left);
      unit.publish(desiredContainer(next.config.host, next.id), next.config);
      unit.publish(
        SUBJECTS.containerMoved,
        { ...factOf(next.config), from: left.host, reason: 'host-lost' },
        { aggregate: `container:${next.id}` },
      );
      unit.publish(containerStatus(next.id), statusOf(next));
    }
    this.logger.info({ containers: moved.length }, 'containers of lost hosts move');
  }
}

/** What the container needs, with what the rules of its groups mean as they are counted now. */
function needsIn(groups: Groups | undefined, { record: { config }, needs }: Going): PlacementNeeds {
  const { datacenter, constraints } = needs;
  return groups ? { ...needs, groups: groups.needsOf(config.tenant, config, { datacenter, constraints }) } : needs;
}
