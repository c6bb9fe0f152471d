import { Controller, Inject } from '@nestjs/common';
import { type PlacementPreview as Preview, type PlacementQuery, QUERIES, type QueryReply } from '@plinth/contracts';
import { OnQuery } from '@plinth/service-kit';
import { PlacementPreview } from '../containers/placement-preview.js';

/** `query.placement`: where a container would be placed. */
@Controller()
export class PlacementQueryHandler {
  constructor(@Inject(PlacementPreview) private readonly preview: PlacementPreview) {}

  @OnQuery(QUERIES.placement)
  async placement(query: PlacementQuery): Promise<QueryReply<Preview>> {
    return { ok: true, data: await this.preview.of(query) };
  }
}
