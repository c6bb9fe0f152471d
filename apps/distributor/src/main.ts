import { runService } from '@plinth/service-kit';
import { DistributorConfig } from './config.js';
import { assemble } from './distributor.module.js';

await runService({ name: 'distributor', config: DistributorConfig, assemble });
