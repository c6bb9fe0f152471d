/**
 * Many containers of lost hosts in one transaction: what is simple about them is read, reserved and written together.
 * What is not (ports, a removal, a drain, no room among the drawn hosts) is left to be decided alone
 * (container-relocation.ts).
 */
import { Inject, Injectable } from '@nestjs/common';
import { containerStatus, desiredContainer, parseExactImageRef, SUBJECTS, type TenantPolicy } from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { lockContainers, saveContainers } from '../containers/container-set.store.js';
import { type ContainerRecord, factOf, statusOf } from '../containers/domain/container-record.js';
import { forgetAllGivenUp, rememberAllGivenUp } from '../containers/given-up.store.js';
import { tenantPolicies } from '../network/tenant-egress.store.js';
import { sampleHosts, type SampleWish } from '../placement/domain/host-sample.js';
import {
  type CandidateHost,
  choosePlacement,
  inDatacenter,
  placementPolicy,
  type Resources,
} from '../placement/domain/placement.js';
import { HostDirectory } from '../placement/host-directory.js';
import { lockFreeHosts, promotedImages, releaseShares, reserveAll, sharesOf } from '../placement/placement.store.js';
import { arrived, givenUp, hostsForNetwork, type Relocation, relocationOf } from './domain/relocation.js';
import { hostStandings, leasesOf } from './move.store.js';

/** The room was there under the locks, and is not: nothing is carried out. */
class RelocationConflict extends Error {
  override readonly name = 'RelocationConflict';
}

interface Going {
  readonly record: ContainerRecord;
  readonly move: Extract<Relocation, { kind: 'move' }>;
  readonly datacenter: string;
}

interface Moved extends Going {
  readonly left: ContainerRecord['config'];
  readonly next: ContainerRecord;
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
      return await this.outbox.transact(async (manager, add) => {
        const { going, alone } = await this.due(manager, ids);
        const policies = await tenantPolicies(manager, [...new Set(going.map(({ record }) => record.config.tenant))]);
        const hosts = await this.lockHosts(manager, going, policies);
        const { moved, without } = this.place(going, hosts, policies);
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
    const going: Going[] = [];
    const alone: string[] = [];
    for (const record of records) {
      const { config } = record;
      const standing = standings.get(config.host);
      const move = relocationOf(record, standing?.state === 'lost', leases(config.storageNode, config.host));
      if (move.kind === 'none') continue;
      const isSimple = move.kind === 'move' && record.moving === null && !config.ports && standing?.cordoned === false;
      if (isSimple && promoted.has(config.image)) going.push({ record, move, datacenter: standing.datacenter });
      else alone.push(record.id);
    }
    return { going, alone };
  }

  private async lockHosts(
    manager: EntityManager,
    going: readonly Going[],
    policies: Policies,
  ): Promise<CandidateHost[]> {
    const groups = new Map<string, Going[]>();
    for (const one of going) {
      const { storageNode, address, limits, egress, hostUsers, tenant } = one.record.config;
      const own = [one.datacenter, storageNode, address !== undefined, limits.diskBytes !== undefined, hostUsers];
      const key = JSON.stringify([...own, egress?.policy, address && tenant]);
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    const wishes = [...groups.values()].flatMap((group): SampleWish[] => {
      const [first] = group;
      if (!first) return [];
      const { config } = first.record;
      return [
        {
          containers: group.length,
          asked: {
            memoryBytes: Math.max(...group.map(({ record }) => record.config.limits.memoryBytes)),
            cpus: Math.max(...group.map(({ record }) => record.config.limits.cpus)),
            containers: 1,
          },
          fits: (host) =>
            host.host !== config.host &&
            hostsForNetwork(inDatacenter([host], first.datacenter), config, [], policies.get(config.tenant)).ok,
        },
      ];
    });
    const { PLINTH_PLACEMENT: policy, PLINTH_CPU_OVERCOMMIT: overcommit } = this.config;
    const names = sampleHosts(this.directory.hosts, wishes, policy, Math.random, this.turn++);
    return lockFreeHosts(manager, [...names], overcommit);
  }

  private place(going: readonly Going[], locked: readonly CandidateHost[], policies: Policies) {
    const hosts = new Map(locked.map((host) => [host.host, host]));
    const policy = placementPolicy(this.config.PLINTH_PLACEMENT);
    const decidedAt = new Date().toISOString();
    const moved: Moved[] = [];
    const without: Going[] = [];
    for (const one of going) {
      const { record, move, datacenter } = one;
      const { config } = record;
      const others = inDatacenter([...hosts.values()], datacenter).filter(({ host }) => host !== config.host);
      const tenantPolicy = policies.get(config.tenant);
      const fit = hostsForNetwork(others, config, [], tenantPolicy);
      const resources: Resources = { memoryBytes: config.limits.memoryBytes, cpus: config.limits.cpus, containers: 1 };
      const placement =
        fit.ok && choosePlacement(fit.hosts, [config.storageNode], resources, policy, Math.random(), this.turn++);
      const to = placement && placement.ok ? placement.hosts[0] : undefined;
      if (!to) {
        without.push(one);
        continue;
      }
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
      const known = config.address && tenantPolicy;
      moved.push({ ...one, left, next: arrived(leaving, to.host, move.desired, decidedAt, [], takeover, known) });
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
