/** Where one container is moved to: room, and its ports, are reserved there. */
import { Inject, Injectable } from '@nestjs/common';
import { type ContainerConfig, parseExactImageRef } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { savePlacement } from '../containers/container.store.js';
import type { ContainerRecord } from '../containers/domain/container-record.js';
import { parsePortRange, type PortRange, type PortWish } from '../network/domain/host-ports.js';
import { portsOn, portsTakenByOthers, reservePlace } from '../network/host-port.store.js';
import { tenantPolicy } from '../network/tenant-egress.store.js';
import { Groups, groupsOf } from '../placement/domain/groups.js';
import { sampleHosts } from '../placement/domain/host-sample.js';
import type { PlacementNeeds } from '../placement/domain/needs.js';
import type { CandidateHost } from '../placement/domain/placement.js';
import { Places } from '../placement/domain/places.js';
import { placementRecord } from '../placement/domain/placement-record.js';
import { noRoom } from '../placement/domain/refusals.js';
import { groupMembers, lockGroups } from '../placement/group.store.js';
import { HostDirectory } from '../placement/host-directory.js';
import { promotedImages, readyHosts } from '../placement/placement.store.js';
import { hostsForMoved, needsOfMoved } from './domain/relocation.js';
import { hostStanding } from './move.store.js';

export type Place = { readonly ok: true; readonly host: string } | { readonly ok: false; readonly message: string };

type ExactImage = NonNullable<ReturnType<typeof parseExactImageRef>>;

interface Wanted {
  readonly config: ContainerConfig;
  readonly image: ExactImage;
  readonly wishes: readonly PortWish[];
  readonly needs: (places: Places) => PlacementNeeds;
}

@Injectable()
export class MovePlaces {
  private turn = 0;
  private readonly portRange: PortRange;

  constructor(
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(HostDirectory) private readonly directory: HostDirectory,
  ) {
    const range = parsePortRange(config.PLINTH_PORT_RANGE);
    if (!range) throw new Error(`${config.PLINTH_PORT_RANGE} is no range of ports`);
    this.portRange = range;
  }

  /**
   * Reserves room, and the container's ports, on a host of the same data centre that reaches its volume: on one of few
   * that are drawn from memory, else on any. It is refused only after a look at all hosts.
   * @param only the one host that is meant; absent: any. Places of a spread are those that are known: the directory has
   *   to be current
   */
  async place(manager: EntityManager, { config }: ContainerRecord, only?: string): Promise<Place> {
    const wanted = await this.wanted(manager, config);
    const { PLINTH_CPU_OVERCOMMIT: overcommit, PLINTH_PLACEMENT: order } = this.config;
    if (only !== undefined) {
      const it = await readyHosts(manager, overcommit, [only]);
      return this.placeOn(manager, wanted, it, wanted.needs(this.directory.places));
    }
    await this.directory.refresh();
    const { hosts: known, places } = this.directory;
    const needs = wanted.needs(places);
    const names = sampleHosts(known, [{ containers: 1, needs }], order, Math.random, this.turn++);
    if (names.size > 0) {
      const drawn = await readyHosts(manager, overcommit, [...names]);
      const place = await this.placeOn(manager, wanted, drawn, needs);
      if (place.ok) return place;
    }
    const all = await readyHosts(manager, overcommit);
    return this.placeOn(manager, wanted, all, wanted.needs(new Places(all)));
  }

  private async wanted(manager: EntityManager, config: ContainerConfig): Promise<Wanted> {
    const image = parseExactImageRef(config.image);
    if (!image) throw new Error(`${config.image} is no exact image`);
    const promoted = (await promotedImages(manager, [config.image])).get(config.image);
    const datacenter = (await hostStanding(manager, config.host))?.datacenter;
    const wishes: readonly PortWish[] = config.ports ? await portsOn(manager, config.containerId, config.host) : [];
    const taken = await portsTakenByOthers(manager, wishes, config.containerId);
    const named = groupsOf(config.tenant, config);
    await lockGroups(manager, named);
    const members = named.length > 0 ? await groupMembers(manager, named, config.containerId) : undefined;
    const policy = await tenantPolicy(manager, config.tenant);
    const needs = (places: Places): PlacementNeeds =>
      needsOfMoved(config, {
        image: promoted,
        datacenter,
        wishes,
        taken,
        tenantPolicy: policy,
        groups: members && new Groups(members, places),
      });
    return { config, image, wishes, needs };
  }

  private async placeOn(
    manager: EntityManager,
    { config, image, wishes }: Wanted,
    hosts: readonly CandidateHost[],
    needs: PlacementNeeds,
  ): Promise<Place> {
    const { PLINTH_CPU_OVERCOMMIT: overcommit, PLINTH_PLACEMENT: order } = this.config;
    const others = hosts.filter(({ host }) => host !== config.host);
    const choice = hostsForMoved(others, needs, order, Math.random(), this.turn++);
    if (!choice.ok) return choice;
    const { resources } = needs;
    let message = noRoom(
      choice.ranked.map(({ host }) => host),
      resources,
    );
    for (const { host } of choice.ranked.map((ranked) => ranked.host)) {
      const room = await reservePlace(manager, host, image, resources, overcommit, wishes, config, this.portRange);
      if (room.ok) {
        const { ranked, exclusions } = choice;
        const known = Math.max(others.length, this.directory.hosts.length);
        const decided = { policy: order, ranked, exclusions, lookedAt: others.length, hosts: known };
        const placement = placementRecord(host, new Date().toISOString(), decided);
        await savePlacement(manager, config.containerId, placement);
        return { ok: true, host };
      }
      if (room.reason === 'image-withdrawn')
        return { ok: false, message: `${config.image} was revoked, and no container can be started on it` };
      if (room.reason === 'ports-exhausted') message = `${host} has too few ports of its range free`;
    }
    return { ok: false, message };
  }
}
