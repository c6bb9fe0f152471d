/**
 * Many requests → many containers, in the caller's transaction: hosts are chosen from memory, locked, and decided on as
 * they are then (domain/batch-plan.ts); everything is read and written in statements for all of them. What can't be
 * decided so is left to the decision of single requests (container-creation.ts).
 *
 * Locks are taken in one order: tenants' quotas, groups, addresses, numbers of tenants, hosts, images. Hosts that another batch
 * has are passed over; when all that get containers are locked, in the order of their names, others are waited for.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type ContainerRequested, formatImageRef, parseImageRef, SUBJECTS, type TenantPolicy } from '@plinth/contracts';
import { causeOf, claimEvents, type OutboxEvent, unclaimEvents, UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { type ImageCatalogue, resolveImage } from '../images/domain/image-resolution.js';
import { returnAddresses, takeIdentities } from '../network/address.store.js';
import type { NetworkIdentity } from '../network/domain/address-pool.js';
import {
  candidatePorts,
  choosePorts,
  type GivenPort,
  portText,
  portWishes,
  type TakenPort,
} from '../network/domain/host-ports.js';
import { wantedNetwork } from '../network/domain/network-choice.js';
import { insertAllPorts, portsTakenByOthers, publishedPort, takenAmong } from '../network/host-port.store.js';
import { tenantPolicies } from '../network/tenant-egress.store.js';
import { Groups, groupsOf } from '../placement/domain/groups.js';
import { kindKey, larger, sampleHosts, type SampleWish } from '../placement/domain/host-sample.js';
import type { PlacementNeeds } from '../placement/domain/needs.js';
import type { CandidateHost } from '../placement/domain/placement.js';
import { groupMembers, lockGroups } from '../placement/group.store.js';
import { HostDirectory } from '../placement/host-directory.js';
import {
  loadCatalogue,
  lockFreeHosts,
  lockReadyHosts,
  readyHosts,
  reserveAll,
  sharesOf,
} from '../placement/placement.store.js';
import { lockTenantUsages } from '../placement/tenant.store.js';
import { findRequests, insertContainers, takenNames } from './batch.store.js';
import { ContainerCreation, publishCreated, refuse, refuseReused } from './container-creation.js';
import { BatchState, type PlannedRequest } from './domain/batch-plan.js';
import { type CreationDraws, needsOf, tenantOf } from './domain/creation.js';
import type { Request } from './intake.store.js';

export interface BatchItem {
  readonly event: Request;
  /** Digest of the requested values. */
  readonly digest: string;
}

/** So few hosts are all locked, without a look at what is known of them. */
const FEW_HOSTS = 32;
/** Preferred hosts of all that are tried for a request that no locked host serves. */
const TRIED = 16;
const SPARE_PORTS = 16;

/** Something changed between what was read and what was written: nothing of the batch is carried out. */
export class BatchConflict extends Error {}

/** What all containers of a tenant may reach; absent: it was never set. */
type Policies = ReadonlyMap<string, TenantPolicy>;

/** Read before the hosts. */
interface Known {
  readonly policies: Policies;
  readonly portsTaken: readonly TakenPort[];
  readonly groups: Groups | undefined;
}

type Placed = Extract<PlannedRequest, { kind: 'placed' }>;

interface Candidate extends BatchItem {
  readonly draws: CreationDraws;
}

interface Made extends Candidate {
  readonly placed: Placed;
  readonly ports: readonly GivenPort[];
}

@Injectable()
export class CreationBatch {
  constructor(
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(ContainerCreation) private readonly creation: ContainerCreation,
    @Inject(HostDirectory) private readonly directory: HostDirectory,
  ) {}

  /**
   * @param items ids differ
   * @returns ids of the events that are left open: they have to be decided one by one, after this transaction
   * @throws BatchConflict
   */
  async decide(
    manager: EntityManager,
    add: (event: OutboxEvent) => void,
    items: readonly BatchItem[],
  ): Promise<ReadonlySet<string>> {
    await this.directory.refresh();
    const unitOf = ({ event }: BatchItem): UnitOfWork => new UnitOfWork(manager, causeOf(event), add);
    const all = items.map(({ event }) => event.id);
    const fresh = await claimEvents(manager, SUBJECTS.containerRequested, all);
    await this.answerRepeated(manager, items, fresh, unitOf);
    const claimed = items
      .filter(({ event }) => fresh.has(event.id))
      .map((item): Candidate => ({ ...item, draws: this.creation.draws(item.event) }));
    if (claimed.length === 0) return new Set();

    const { made, refused, open, state, identities } = await this.plan(manager, claimed);
    for (const { item, refusal } of refused) refuse(unitOf(item), item.event, refusal);
    await this.write(manager, made, identities, unitOf);
    const left = open.map(({ event }) => event.id);
    await unclaimEvents(manager, SUBJECTS.containerRequested, left);
    this.directory.note(state.locked);
    for (const { placed } of made) this.directory.noteWarm(formatImageRef(placed.plan.image), placed.host.host);
    // Ids: the candidates are copies, and the caller takes everything else for decided.
    return new Set(left);
  }

  /** A request that was decided before has its answer; another one with its id is refused. */
  private async answerRepeated(
    manager: EntityManager,
    items: readonly BatchItem[],
    fresh: ReadonlySet<string>,
    unitOf: (item: BatchItem) => UnitOfWork,
  ): Promise<void> {
    const repeated = items.filter(({ event }) => !fresh.has(event.id));
    const known = await findRequests(
      manager,
      repeated.map(({ event }) => event.id),
    );
    for (const item of repeated) {
      const digest = known.get(item.event.id);
      if (digest !== undefined && digest !== item.digest) refuseReused(unitOf(item), item.event, item.digest);
    }
  }

  private async plan(manager: EntityManager, claimed: readonly Candidate[]) {
    const { PLINTH_HOST_LOST_SECONDS: lostSeconds } = this.config;
    const requests = claimed.map(({ event }) => event.data);
    const asked = requests.flatMap(({ image }) => (image === undefined ? [] : (parseImageRef(image)?.name ?? [])));
    const tenants = [...new Set(requests.map(tenantOf))];
    const usages = this.creation.hasQuota ? await lockTenantUsages(manager, tenants) : new Map();
    const groups = await this.lockedGroups(manager, requests);
    const policies = await tenantPolicies(manager, tenants);
    const catalogue = await loadCatalogue(manager, [...new Set(asked)], lostSeconds);
    const named = requests.flatMap((request) =>
      request.name === undefined ? [] : [{ tenant: tenantOf(request), name: request.name }],
    );
    const names = await takenNames(manager, named);
    const portsTaken = await portsTakenByOthers(
      manager,
      requests.flatMap(({ ports = [] }) => portWishes(ports)),
    );
    const identities = await this.takeAddresses(manager, claimed);
    const { hosts, isWhole } = await this.lockHosts(manager, claimed, catalogue, { policies, portsTaken, groups });
    const { warm, held } = this.directory;
    const hostsKnown = this.directory.hosts.length;
    const state = new BatchState(hosts, isWhole, {
      catalogue,
      usages,
      names,
      portsTaken,
      policies,
      groups,
      hostsKnown,
      warm,
      held,
    });

    const placed: (Candidate & { readonly placed: Placed })[] = [];
    const refused: {
      readonly item: Candidate;
      readonly refusal: Extract<PlannedRequest, { kind: 'refused' }>['refusal'];
    }[] = [];
    const open: Candidate[] = [];
    const settle = (item: Candidate, planned: PlannedRequest, later: Candidate[]): void => {
      if (planned.kind === 'refused') refused.push({ item, refusal: planned.refusal });
      else if (planned.kind === 'open') later.push(item);
      else if (planned.plan.hasAddressOn(planned.host) && !identities.has(item.draws.containerId)) open.push(item);
      else {
        state.give(planned);
        placed.push({ ...item, placed: planned });
      }
    };
    const unsure: Candidate[] = [];
    for (const item of claimed) settle(item, state.decide(item.event.data, this.creation.rules, item.draws), unsure);
    if (unsure.length > 0) {
      const every = await readyHosts(manager, this.config.PLINTH_CPU_OVERCOMMIT);
      for (const item of unsure) settle(item, await this.lookAtAll(manager, item, every, state), open);
      this.directory.replace(every);
    }
    const { made, without } = await this.choosePorts(manager, placed);
    if (without.length === 0) return { made, refused, open, state, identities };
    // What they have no use for was refused to others.
    return { made, refused: [], open: [...open, ...without, ...refused.map(({ item }) => item)], state, identities };
  }

  /** Those that the requests name, locked before any host; undefined: they name none. */
  private async lockedGroups(
    manager: EntityManager,
    requests: readonly ContainerRequested[],
  ): Promise<Groups | undefined> {
    const named = requests.flatMap((request) => groupsOf(tenantOf(request), request));
    if (named.length === 0) return undefined;
    await lockGroups(manager, named);
    return new Groups(await groupMembers(manager, named), this.directory.places);
  }

  /** For each that may come to a host where containers have one. */
  private takeAddresses(
    manager: EntityManager,
    claimed: readonly Candidate[],
  ): Promise<ReadonlyMap<string, NetworkIdentity>> {
    const wishes = claimed.filter(({ event }) => {
      const wanted = wantedNetwork(event.data, this.creation.rules.network);
      return wanted === 'container' || (wanted === 'auto' && this.directory.hasNetwork);
    });
    return takeIdentities(
      manager,
      wishes.map(({ event, draws }) => ({ containerId: draws.containerId, tenant: tenantOf(event.data) })),
    );
  }

  private async lockHosts(
    manager: EntityManager,
    claimed: readonly Candidate[],
    catalogue: ImageCatalogue,
    known: Known,
  ): Promise<{ readonly hosts: readonly CandidateHost[]; readonly isWhole: boolean }> {
    const { PLINTH_CPU_OVERCOMMIT: overcommit } = this.config;
    const all = this.directory.hosts;
    if (all.length <= FEW_HOSTS) {
      const hosts = await lockReadyHosts(manager, FEW_HOSTS + 1, overcommit);
      return { hosts, isWhole: hosts.length <= FEW_HOSTS };
    }
    const wishes = this.sampleWishes(claimed, catalogue, known);
    const { policy } = this.creation.rules;
    const names = sampleHosts(all, wishes, policy, Math.random, claimed[0]?.draws.turn ?? 0);
    return { hosts: await lockFreeHosts(manager, [...names], overcommit), isWhole: false };
  }

  /** Requests that the same hosts fit, together. */
  private sampleWishes(
    claimed: readonly Candidate[],
    catalogue: ImageCatalogue,
    { policies, portsTaken, groups }: Known,
  ): readonly SampleWish[] {
    const kinds = new Map<
      string,
      { readonly request: ContainerRequested; needs: PlacementNeeds; containers: number }
    >();
    for (const { event } of claimed) {
      const view = { catalogue, portsTaken, groups, tenantPolicy: policies.get(tenantOf(event.data)) };
      const needs = needsOf(event.data, view, this.creation.rules);
      const key = kindKey(needs, event.data.image);
      const kind = kinds.get(key);
      if (!kind) kinds.set(key, { request: event.data, needs, containers: 1 });
      else {
        kind.containers++;
        kind.needs = { ...kind.needs, resources: larger(kind.needs.resources, needs.resources) };
      }
    }
    return [...kinds.values()].map(({ request, needs, containers }) => {
      const resolved = resolveImage(request.image, false, catalogue, this.directory.reach);
      if (!resolved.ok) return { containers, needs };
      const { storageNodes, architecture } = resolved.image;
      const image = formatImageRef(resolved.image);
      return { containers, needs: { ...needs, storageNodes, image, architecture, held: this.directory.held(image) } };
    });
  }

  /** A refusal is given on a look at all hosts only. */
  private async lookAtAll(
    manager: EntityManager,
    { event, draws }: Candidate,
    every: readonly CandidateHost[],
    state: BatchState,
  ): Promise<PlannedRequest> {
    const plan = state.plan(event.data, state.withGiven(every), this.creation.rules, draws);
    if (plan.ok) {
      const names = plan.hosts.slice(0, TRIED).map(({ host }) => host);
      const more = names.filter((host) => !state.isLocked(host));
      if (more.length > 0) state.lock(await lockFreeHosts(manager, more, this.config.PLINTH_CPU_OVERCOMMIT));
    }
    return state.settle(plan);
  }

  /** In the order of the requests, under the locks of the hosts. */
  private async choosePorts(
    manager: EntityManager,
    placed: readonly (Candidate & { readonly placed: Placed })[],
  ): Promise<{ readonly made: readonly Made[]; readonly without: readonly Candidate[] }> {
    const wanting = placed.filter(({ placed: { plan } }) => plan.ports.length > 0);
    const drawn = new Map(
      wanting.map(({ event, placed: { plan } }) => [
        event.id,
        candidatePorts(this.creation.portRange, plan.ports.length + SPARE_PORTS, Math.random()),
      ]),
    );
    const taken = new Map(
      await takenAmong(
        manager,
        wanting.flatMap(({ event, placed: { plan, host } }) =>
          [...(drawn.get(event.id) ?? []), ...plan.ports.flatMap(({ hostPort }) => hostPort ?? [])].map((port) => ({
            host: host.host,
            port,
          })),
        ),
      ),
    );
    const made: Made[] = [];
    const without: Candidate[] = [];
    for (const item of placed) {
      const { plan, host } = item.placed;
      const used = taken.get(host.host) ?? new Set<string>();
      const choice = choosePorts(plan.ports, used, drawn.get(item.event.id) ?? []);
      if (!choice.ok) {
        without.push(item);
        continue;
      }
      for (const { protocol, hostPort } of choice.ports) used.add(portText(protocol, hostPort));
      taken.set(host.host, used);
      made.push({ ...item, ports: choice.ports });
    }
    return { made, without };
  }

  private async write(
    manager: EntityManager,
    made: readonly Made[],
    identities: ReadonlyMap<string, NetworkIdentity>,
    unitOf: (item: BatchItem) => UnitOfWork,
  ): Promise<void> {
    const records = made.map((item) => {
      const { plan, host } = item.placed;
      const record = plan.containerOn(host, item.ports.map(publishedPort), identities.get(item.draws.containerId));
      return { item, record, placement: plan.placementOn(host), requestId: item.event.id, requestDigest: item.digest };
    });
    const used = new Set(records.flatMap(({ record }) => (record.config.address ? [record.id] : [])));
    await returnAddresses(
      manager,
      [...identities.keys()].filter((id) => !used.has(id)),
    );
    if (records.length === 0) return;
    const images = new Map(
      made.map(({ placed: { plan } }) => [`${plan.image.name}@${plan.image.version}`, plan.image]),
    );
    const { PLINTH_CPU_OVERCOMMIT: overcommit } = this.config;
    const shares = sharesOf(records.map(({ record }) => record.config));
    if (!(await reserveAll(manager, shares, [...images.values()], overcommit)))
      throw new BatchConflict('an image was withdrawn, or a host had less room than when it was locked');
    await insertAllPorts(
      manager,
      made.map(({ placed: { plan, host }, ports }) => ({ host: host.host, holder: plan.holder, ports })),
    );
    if ((await insertContainers(manager, records)) !== records.length)
      throw new BatchConflict('the name of a container was taken meanwhile');
    for (const { item, record, requestId } of records) publishCreated(unitOf(item), requestId, record);
  }
}
