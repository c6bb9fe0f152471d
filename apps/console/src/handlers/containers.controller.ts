/** Containers: lists from memory, one with what the provisioner knows of it. */
import { Controller, Get, Inject, Param, Query, Req, UseGuards } from '@nestjs/common';
import { type ContainerDetails, ID_PATTERN } from '@plinth/contracts';
import { type ContainerAnswer, type ContainerList, ListContainers } from '@plinth/contracts/console';
import { PresentState } from '../adapters/present-state.js';
import { ProvisionerQueries } from '../adapters/provisioner-queries.js';
import { maySee } from '../domain/access.js';
import { listContainers, withoutSecrets } from '../domain/container-list.js';
import { ApiProblem, checked, type SignedInRequest } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

@Controller('api/v1/containers')
@UseGuards(SignedInGuard)
export class ContainersController {
  constructor(
    @Inject(PresentState) private readonly present: PresentState,
    @Inject(ProvisionerQueries) private readonly queries: ProvisionerQueries,
  ) {}

  @Get()
  @Needs('containers')
  list(@Query() query: Record<string, unknown>, @Req() { person }: SignedInRequest): ContainerList {
    const { limit } = query;
    const asked = checked(ListContainers, { ...query, ...(limit === undefined ? {} : { limit: Number(limit) }) });
    return { ...this.present.currency, ...listContainers(person, asked, this.present.state) };
  }

  @Get(':id')
  @Needs('container')
  async one(@Param('id') id: string, @Req() { person }: SignedInRequest): Promise<ContainerAnswer> {
    const missing = new ApiProblem('container-not-found', 'there is no such container; see: plinth ps --all');
    if (!ID_PATTERN.test(id)) throw missing;
    const known = this.present.state.get('containers', id);
    // Who may not see it gets the same answer, and the provisioner is not asked.
    if (known && !maySee(person, 'containers', known)) throw missing;
    const reply = await this.queries.container(id);
    if (reply.ok && !maySee(person, 'containers', reply.data)) throw missing;
    const status = known ?? (reply.ok ? reply.data : undefined);
    if (!status) throw missing;
    const details: ContainerDetails | null = reply.ok ? withoutSecrets(reply.data) : null;
    return { ...this.present.currency, status, details };
  }
}
