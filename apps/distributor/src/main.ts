import { storageConsumers } from '@plinth/contracts';
import type { TrustedKeys } from '@plinth/image-trust';
import { runService } from '@plinth/service-kit';
import { DistributorConfig } from './config.js';
import { assemble, openTrustedKeys } from './distributor.module.js';

let keys: TrustedKeys | undefined;

await runService({
  name: 'distributor',
  config: DistributorConfig,
  consumers: ({ PLINTH_STORAGE_NODE }) => ({ request: storageConsumers(PLINTH_STORAGE_NODE) }),
  prepare: async (base) => {
    keys = await openTrustedKeys(base);
  },
  assemble: (context) => {
    if (!keys) throw new Error('assembled before it was prepared');
    return assemble(context, keys);
  },
});
