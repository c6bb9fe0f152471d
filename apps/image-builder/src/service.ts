import { BUILDER_CONSUMERS } from '@plinth/contracts';
import { Outbox, runService } from '@plinth/service-kit';
import { DownloadServer } from './adapters/repository/download-server.js';
import { BuildRunner } from './building/build-runner.js';
import { LeftOvers } from './building/left-overs.js';
import { ImageBuilderConfig } from './config.js';
import { ImageBuilderModule } from './image-builder.module.js';

export function run(): Promise<void> {
  return runService({
    name: 'image-builder',
    config: ImageBuilderConfig,
    consumers: () => ({ request: BUILDER_CONSUMERS }),
    module: () => ImageBuilderModule,
    // What killed processes left is cleared before a build is taken, and what the builds decide while they end is still published.
    components: [Outbox, LeftOvers, BuildRunner, DownloadServer],
  });
}
