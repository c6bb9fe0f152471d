import { Controller, Inject } from '@nestjs/common';
import {
  type BuildDetails,
  type BuildQuery,
  parseExactImageRef,
  QUERIES,
  type QueryReply,
  versionNumber,
} from '@plinth/contracts';
import { OnQuery } from '@plinth/service-kit';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { versionOf } from '../domain/image-build.js';

/** `query.build` → BuildDetails. */
@Controller()
export class BuildQueryHandler {
  constructor(@Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue) {}

  @OnQuery(QUERIES.build)
  async handle(query: BuildQuery): Promise<QueryReply<BuildDetails>> {
    const ref = parseExactImageRef(query.image);
    const build = ref && (await this.catalogue.find(ref.name, versionNumber(ref.version)));
    if (!build)
      return {
        ok: false,
        reason: 'image-not-found',
        message: `there is no image ${query.image}; see the list of images for what was built`,
      };
    return {
      ok: true,
      data: {
        name: build.name,
        version: versionOf(build),
        state: build.state,
        buildId: build.buildId,
        recipe: build.recipe,
        builtAt: build.builtAt?.toISOString() ?? null,
        durationMs: build.durationMs,
        tests: build.tests,
        manifest: build.manifest,
        logTail: build.logTail,
      },
    };
  }
}
