import { storageConsumers, storageImagesConsumer } from '@plinth/contracts';
import type { TrustedKeys } from '@plinth/image-trust';
import { runService } from '@plinth/service-kit';
import { VolumeUsage } from './adapters/volume-usage.js';
import { DistributorConfig } from './config.js';
import { DistributionLoop } from './distribution/distribution-loop.js';
import { Heartbeat } from './distribution/heartbeat.js';
import { NodeLead } from './distribution/node-lead.js';
import { ObjectRemoval } from './distribution/object-removal.js';
import { RemovalLoop } from './distribution/removal-loop.js';
import { Resumption } from './distribution/resumption.js';
import { Scrub } from './distribution/scrub.js';
import { DistributorModule, openTrustedKeys } from './distributor.module.js';

export function run(): Promise<void> {
  let keys: TrustedKeys | undefined;
  return runService({
    name: 'distributor',
    config: DistributorConfig,
    consumers: ({ PLINTH_STORAGE_NODE: node }) => ({
      request: storageConsumers(node),
      watcher: storageImagesConsumer(node),
    }),
    prepare: async (base) => {
      keys = await openTrustedKeys(base);
      return {};
    },
    module: () => {
      if (!keys) throw new Error('the module was requested before the keys were read');
      return DistributorModule.with(keys);
    },
    components: [Resumption, DistributionLoop, RemovalLoop, NodeLead, ObjectRemoval, Scrub, VolumeUsage, Heartbeat],
  });
}
