import { storageConsumers } from '@plinth/contracts';
import { runService } from '@plinth/service-kit';
import { DistributorConfig } from './config.js';
import { assemble } from './distributor.module.js';

await runService({
  name: 'distributor',
  config: DistributorConfig,
  consumers: ({ PLINTH_STORAGE_NODE }) => ({ request: storageConsumers(PLINTH_STORAGE_NODE) }),
  assemble,
});
