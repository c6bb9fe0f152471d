import { Controller, Inject } from '@nestjs/common';
import { type ImageRejected, type ImageRequested, SUBJECTS } from '@plinth/contracts';
import { digestOf } from '@plinth/image-trust';
import { claimEvent, type Logger, LOGGER, newId, OnEvent, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { readRecipe } from '../adapters/sources/recipe-yaml.js';
import { BuildRunner } from '../building/build-runner.js';

/** `image.requested` → a version number and a row in the queue; the runner does the rest. */
@Controller()
export class ImageRequestedHandler {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(BuildRunner) private readonly runner: BuildRunner,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @OnEvent(SUBJECTS.imageRequested)
  async handle(event: ReceivedEvent<ImageRequested>): Promise<void> {
    const { recipe } = event.data;
    const parsed = readRecipe(recipe);
    const facts = { correlationId: event.correlationId, causationId: event.id };
    await this.outbox.transact(async (manager, add) => {
      if (!(await claimEvent(manager, SUBJECTS.imageRequested, event.id))) return;
      if (!parsed.ok) {
        const mistakes = parsed.problems.length === 1 ? 'a mistake' : `${parsed.problems.length} mistakes`;
        const message = `the recipe has ${mistakes}; see problems and docs/recipes.md`;
        const data: ImageRejected = {
          operation: 'build',
          requestId: event.id,
          reason: 'invalid-recipe',
          message,
          name: parsed.name,
          problems: [...parsed.problems],
        };
        add({ ...facts, subject: SUBJECTS.imageRejected, data });
        return;
      }
      const { name } = parsed.recipe;
      const build = {
        buildId: newId(),
        name,
        requestId: event.id,
        correlationId: event.correlationId,
        recipe,
        recipeDigest: digestOf(recipe),
      };
      const number = await this.catalogue.add(manager, build);
      this.logger.info({ image: `${name}@v${number}`, buildId: build.buildId }, 'version given out');
    });
    this.runner.kick();
  }
}
