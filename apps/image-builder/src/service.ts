import { BUILDER_CONSUMERS } from '@plinth/contracts';
import { Outbox, runService } from '@plinth/service-kit';
import { Deltas } from './adapters/repository/deltas.js';
import { DownloadServer } from './adapters/repository/download-server.js';
import { BuildRunner } from './building/build-runner.js';
import { Leftovers } from './building/leftovers.js';
import { ImageBuilderConfig } from './config.js';
import { ImageBuilderModule } from './image-builder.module.js';

export function run(): Promise<void> {
  return runService({
    name: 'image-builder',
    config: ImageBuilderConfig,
    consumers: () => ({ request: BUILDER_CONSUMERS }),
    module: () => ImageBuilderModule,
    // Leftovers of killed processes are removed before a build is taken, and decisions of builds that end are still
    // published.
    components: [Outbox, Leftovers, BuildRunner, Deltas, DownloadServer],
  });
}
