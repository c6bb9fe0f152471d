/** Where a request would be placed now, and why: what is decided for a real one, without reserving or writing anything. */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import {
  type ContainerRequested,
  type ExplainedHost,
  formatImageRef,
  parseImageRef,
  type PlacementPreview as Preview,
  type PlacementQuery,
} from '@plinth/contracts';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { portWishes } from '../network/domain/host-ports.js';
import { portsTakenByOthers } from '../network/host-port.store.js';
import { tenantPolicy } from '../network/tenant-egress.store.js';
import { excluding, filtersFor } from '../placement/domain/filters.js';
import { Groups, groupsOf } from '../placement/domain/groups.js';
import { excludedHosts, rankedAnswer } from '../placement/domain/placement-record.js';
import { Places } from '../placement/domain/places.js';
import { groupMembers } from '../placement/group.store.js';
import { HostDirectory } from '../placement/host-directory.js';
import { hostStatuses } from '../placement/node-status.store.js';
import { loadPlacementView } from '../placement/placement.store.js';
import { tenantUsages } from '../placement/tenant.store.js';
import { takenNames } from './batch.store.js';
import { ContainerCreation } from './container-creation.js';
import { nameTaken } from './domain/batch-plan.js';
import { type Creation, type CreationView, planCreation, tenantOf } from './domain/creation.js';

const SHOWN = 10;

@Injectable()
export class PlacementPreview {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(HostDirectory) private readonly directory: HostDirectory,
    @Inject(ContainerCreation) private readonly creation: ContainerCreation,
  ) {}

  async of({ request, host }: PlacementQuery): Promise<Preview> {
    const { rules } = this.creation;
    const view = await this.view(request);
    const draws = this.creation.draws({ storedAtMs: Date.now() });
    const plan = planCreation(request, view, rules, draws);
    const { ranked = [], exclusions, needs } = plan.why ?? {};
    const refusal = plan.ok ? await this.nameRefusal(request) : plan;
    return {
      host: refusal ? null : (plan.ok && plan.hosts[0]?.host) || null,
      reason: refusal?.reason ?? null,
      message: refusal?.message ?? null,
      image: plan.ok ? formatImageRef(plan.image) : null,
      policy: rules.policy,
      hosts: view.hosts.length,
      fitting: ranked.length,
      ranked: needs ? ranked.slice(0, SHOWN).map((each) => rankedAnswer(each, needs, rules.policy)) : [],
      excluded: exclusions && needs ? excludedHosts(exclusions, needs) : [],
      explained: host === undefined ? null : await this.explain(host, view, plan),
    };
  }

  /** What a real decision reads, without its locks. */
  private async view(request: ContainerRequested): Promise<CreationView> {
    const { manager } = this.source;
    const { PLINTH_CPU_OVERCOMMIT: overcommit, PLINTH_HOST_LOST_SECONDS: lostSeconds } = this.config;
    const tenant = tenantOf(request);
    const asked = request.image === undefined ? undefined : parseImageRef(request.image);
    const { hosts, catalogue } = await loadPlacementView(manager, asked?.name, overcommit, lostSeconds);
    const named = groupsOf(tenant, request);
    return {
      hosts,
      catalogue,
      portsTaken: await portsTakenByOthers(manager, portWishes(request.ports ?? [])),
      tenantPolicy: await tenantPolicy(manager, tenant),
      usage: (await tenantUsages(manager, [tenant])).get(tenant) ?? { containers: 0, memoryBytes: 0, diskBytes: 0 },
      warm: this.directory.warm,
      held: this.directory.held,
      groups: named.length > 0 ? new Groups(await groupMembers(manager, named), new Places(hosts)) : undefined,
    };
  }

  private async nameRefusal(request: ContainerRequested): Promise<ReturnType<typeof nameTaken> | undefined> {
    const { name } = request;
    const tenant = tenantOf(request);
    if (name === undefined || (await takenNames(this.source.manager, [{ tenant, name }])).length === 0)
      return undefined;
    return nameTaken(tenant, name);
  }

  private async explain(host: string, view: CreationView, plan: Creation): Promise<ExplainedHost> {
    const candidate = view.hosts.find((each) => each.host === host);
    const { needs, ranked = [] } = plan.why ?? {};
    if (!candidate) return { host, fits: false, why: await this.whyNoCandidate(host) };
    if (!needs) return { host, fits: false, why: plan.ok ? '' : plan.message };
    const filter = excluding(candidate, needs, filtersFor(needs));
    if (filter) return { host, fits: false, filter: filter.name, why: filter.why(candidate, needs) };
    const at = ranked.findIndex((each) => each.host === candidate);
    const found = ranked[at];
    if (!found) return { host, fits: false, why: plan.ok ? '' : plan.message };
    const { score, parts } = rankedAnswer(found, needs, this.creation.rules.policy);
    return { host, fits: true, rank: at + 1, score, parts };
  }

  private async whyNoCandidate(host: string): Promise<string> {
    const [status] = await hostStatuses(this.source.manager, { names: [host] });
    if (!status) return 'there is no such host; plinth hosts lists all hosts';
    return status.cordoned ? `it is cordoned; plinth host uncordon ${host} undoes that` : `it is ${status.state}`;
  }
}
