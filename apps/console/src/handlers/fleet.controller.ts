/** Hosts, storage nodes, images, rollouts and the numbers of the first page. */
import { Controller, Get, Inject, Req, UseFilters, UseGuards } from '@nestjs/common';
import type { HostList, ImageList, OverviewAnswer, RolloutList, StorageList } from '@plinth/contracts/console';
import { PresentState } from '../adapters/present-state.js';
import { ProvisionerQueries } from '../adapters/provisioner-queries.js';
import { maySee } from '../domain/access.js';
import { overviewOf } from '../domain/overview.js';
import type { Topic, ValueOf } from '../domain/topics.js';
import { ApiProblem, type SignedInRequest } from './http.js';
import { ProblemFilter } from './problem.filter.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

@Controller('api/v1')
@UseFilters(ProblemFilter)
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
