import { Outbox, runService } from '@plinth/service-kit';
import { ProvisionerConfig } from './config.js';
import { RequestIntake } from './containers/request-intake.js';
import { LostHosts } from './hosts/lost-hosts.js';
import { AddressPoolSetting } from './network/address-pool-setting.js';
import { HostImagesFeed } from './images/host-images-feed.js';
import { ProductionFeed } from './images/production-feed.js';
import { NeighbourFeed } from './network/neighbour-feed.js';
import { ContainerRelocation } from './moves/container-relocation.js';
import { ProvisionerModule } from './provisioner.module.js';
import { RebalanceProgress } from './rebalance/rebalance-progress.js';
import { CountKeeping } from './retention/count-keeping.js';
import { Retention } from './retention/retention.js';
import { RolloutProgress } from './rollouts/rollout-progress.js';

export function run(): Promise<void> {
  return runService({
    name: 'provisioner',
    config: ProvisionerConfig,
    module: () => ProvisionerModule,
    // Decisions that the loops make while they end are still published.
    components: [
      AddressPoolSetting,
      Outbox,
      NeighbourFeed,
      ProductionFeed,
      HostImagesFeed,
      LostHosts,
      RolloutProgress,
      ContainerRelocation,
      RebalanceProgress,
      RequestIntake,
      Retention,
      CountKeeping,
    ],
  });
}
