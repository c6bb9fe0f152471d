import { Controller, Inject } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import {
  type ImageDiff,
  type ImageDiffQuery,
  type ImagePlan,
  type ImagePlanQuery,
  QUERIES,
  type QueryReply,
} from '@plinth/contracts';
import { ImageInspection } from '../inspection/image-inspection.js';

/** `query.image.diff` → ImageDiff, `query.image.plan` → ImagePlan. */
@Controller()
export class ImageInspectionHandler {
  constructor(@Inject(ImageInspection) private readonly inspection: ImageInspection) {}

  @MessagePattern<string>(QUERIES.imageDiff)
  diff(query: ImageDiffQuery): Promise<QueryReply<ImageDiff>> {
    return this.inspection.diff(query);
  }

  @MessagePattern<string>(QUERIES.imagePlan)
  plan(query: ImagePlanQuery): Promise<QueryReply<ImagePlan>> {
    return this.inspection.plan(query);
  }
}
