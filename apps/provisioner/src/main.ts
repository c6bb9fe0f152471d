import { runService } from '@plinth/service-kit';
import { assemble } from './provisioner.module.js';
import { ProvisionerConfig } from './config.js';

await runService({ name: 'provisioner', config: ProvisionerConfig, assemble });
