/** Hosts, storage nodes, images, rollouts and the numbers of the first page. */
import { Controller, Get, Inject, Param, Req, UseGuards } from '@nestjs/common';
import { EXACT_IMAGE_REF_PATTERN, ID_PATTERN } from '@plinth/contracts';
import type {
  HostList,
  ImageList,
  ImageUsesAnswer,
  OverviewAnswer,
  RolloutAnswer,
  RolloutList,
  StorageList,
} from '@plinth/contracts/console';
import { PresentState } from '../adapters/present-state.js';
import { ProvisionerQueries } from '../adapters/provisioner-queries.js';
import { maySee } from '../domain/access.js';
import { overviewOf } from '../domain/overview.js';
import type { Topic, ValueOf } from '../domain/topics.js';
import { ApiProblem, type SignedInRequest } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

@Controller('api/v1')
@UseGuards(SignedInGuard)
export class FleetController {
  constructor(
    @Inject(PresentState) private readonly present: PresentState,
    @Inject(ProvisionerQueries) private readonly queries: ProvisionerQueries,
  ) {}

  @Get('hosts')
  @Needs('hosts')
  hosts(@Req() request: SignedInRequest): HostList {
    return this.list('hosts', request);
  }

  @Get('storage')
  @Needs('storage')
  storage(@Req() request: SignedInRequest): StorageList {
    return this.list('storage', request);
  }

  @Get('rollouts')
  @Needs('rollouts')
  rollouts(@Req() request: SignedInRequest): RolloutList {
    return this.list('rollouts', request);
  }

  @Get('images')
  @Needs('images')
  async images(): Promise<ImageList> {
    const reply = await this.queries.images();
    if (!reply.ok) throw new ApiProblem('no-answer', reply.message);
    return { items: reply.data };
  }

  @Get('images/:ref/uses')
  @Needs('image-uses')
  async imageUses(@Param('ref') ref: string): Promise<ImageUsesAnswer> {
    const missing = 'there is no such version; see: plinth image ls';
    if (!EXACT_IMAGE_REF_PATTERN.test(ref)) throw new ApiProblem('image-not-found', missing);
    const reply = await this.queries.imageUses(ref);
    if (!reply.ok)
      throw new ApiProblem(reply.reason === 'image-not-found' ? 'image-not-found' : 'no-answer', reply.message);
    const { image, state, defaultVersion, tenants, hosts, containers, rollouts } = reply.data;
    return { image, state, defaultVersion, tenants, hosts, containers: containers.length, rollouts };
  }

  @Get('rollouts/:id')
  @Needs('rollouts')
  async rollout(@Param('id') id: string): Promise<RolloutAnswer> {
    const missing = new ApiProblem('rollout-not-found', 'there is no such rollout; see: plinth rollout ls --all');
    if (!ID_PATTERN.test(id)) throw missing;
    const known = this.present.state.get('rollouts', id);
    const reply = await this.queries.rollout(id);
    const status = known ?? (reply.ok ? reply.data : undefined);
    if (!status) throw missing;
    return { ...this.present.currency, status, details: reply.ok ? reply.data : null };
  }

  @Get('overview')
  @Needs('overview')
  overview(@Req() { person }: SignedInRequest): OverviewAnswer {
    const { currency, state, deadLetters = null } = this.present;
    return {
      ...currency,
      ...overviewOf(person, state),
      ...(person.role === 'developer' ? {} : { deadLetters }),
    };
  }

  private list<T extends Topic>(topic: T, { person }: SignedInRequest) {
    const items = this.present.state.all(topic).filter((value: ValueOf[T]) => maySee(person, topic, value));
    return { ...this.present.currency, items };
  }
}
