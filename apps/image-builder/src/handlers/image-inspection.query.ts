import { Controller, Inject } from '@nestjs/common';
import {
  type ImageDiff,
  type ImageDiffQuery,
  type ImagePlan,
  type ImagePlanQuery,
  QUERIES,
  type QueryReply,
} from '@plinth/contracts';
import { OnQuery } from '@plinth/service-kit';
import { ImageInspection } from '../inspection/image-inspection.js';

/** `query.image.diff` → ImageDiff, `query.image.plan` → ImagePlan. */
@Controller()
export class ImageInspectionHandler {
  constructor(@Inject(ImageInspection) private readonly inspection: ImageInspection) {}

  @OnQuery(QUERIES.imageDiff)
  diff(query: ImageDiffQuery): Promise<QueryReply<ImageDiff>> {
    return this.inspection.diff(query);
  }

  @OnQuery(QUERIES.imagePlan)
  plan(query: ImagePlanQuery): Promise<QueryReply<ImagePlan>> {
    return this.inspection.plan(query);
  }
}
