/** All wiring of the provisioner. */
import type { DynamicModule } from '@nestjs/common';
import {
  databaseReadiness,
  natsReadiness,
  openDatabase,
  Outbox,
  type ServiceAssembly,
  type ServiceContext,
} from '@plinth/service-kit';
import { DesiredState, republishAll } from './containers/desired-state.js';
import {
  AddIntake1700000005000,
  AddMoves1700000004000,
  AddRetirement1700000003000,
  AddRollouts1700000002000,
  AddStorageState1700000007500,
  AddTenantDisk1700000006000,
  AddHealth1700000008000,
  CreateProvisionerTables1700000001000,
} from './postgres/migrations.js';
import { QueryStore } from './queries/query.store.js';
import type { ProvisionerConfig } from './config.js';
import { ContainerRelocation } from './moves/container-relocation.js';
import { HostControl } from './hosts/host-control.js';
import { HostSchedulingHandler } from './hosts/host-scheduling.handler.js';
import { ContainerUpdate } from './rollouts/container-update.js';
import { RolloutControl } from './rollouts/rollout-control.js';
import { RolloutCreation } from './rollouts/rollout-creation.js';
import { RolloutProgress } from './rollouts/rollout-progress.js';
import { RolloutQueryStore } from './queries/rollout-query.store.js';
import { ContainerUpdateRequestedHandler } from './rollouts/container-update-requested.handler.js';
import { RolloutRequestedHandler } from './rollouts/rollout-requested.handler.js';
import { RolloutActionsHandler } from './rollouts/rollout-actions.handler.js';
import { ContainerAction } from './containers/container-action.js';
import { ContainerCreation } from './containers/container-creation.js';
import { ContainerReportHandler } from './reports/container-report.handler.js';
import { ContainerRequestedHandler } from './containers/container-requested.handler.js';
import { ContainerActionsHandler } from './containers/container-actions.handler.js';
import { DropDeadLettersHandler } from './queries/drop-dead-letters.handler.js';
import { HeartbeatsHandler } from './hosts/heartbeats.handler.js';
import { ImageActivationRequestedHandler } from './rollouts/image-activation-requested.handler.js';
import { ImageFactsHandler } from './images/image-facts.handler.js';
import { ImageRetirementRequestedHandler } from './images/image-retirement-requested.handler.js';
import { MasterReportHandler } from './reports/master-report.handler.js';
import { QueriesHandler } from './queries/queries.handler.js';
import { ImageRetirement } from './images/image-retirement.js';
import { LostHosts } from './hosts/lost-hosts.js';
import { RequestIntake } from './containers/request-intake.js';
import { CONNECTION, LOGGER } from './tokens.js';

class ProvisionerModule {}

export async function assemble({
  config,
  logger,
  connection,
  publisher,
  consumers,
}: ServiceContext<ProvisionerConfig>): Promise<ServiceAssembly> {
  const source = await openDatabase({
    url: config.DATABASE_URL,
    schema: 'provisioner',
    entities: [],
    migrations: [
      CreateProvisionerTables1700000001000,
      AddRollouts1700000002000,
      AddRetirement1700000003000,
      AddMoves1700000004000,
      AddIntake1700000005000,
      AddTenantDisk1700000006000,
      AddStorageState1700000007500,
      AddHealth1700000008000,
    ],
    logger,
    poolSize: 20,
  });
  const outbox = new Outbox(source, publisher, consumers, logger, (stream) => {
    logger.warn({ stream }, 'desired state and status are published again');
    return republishAll(source);
  });
  const lostHosts = new LostHosts(outbox, config.PLINTH_HOST_LOST_SECONDS, logger);
  const creation = new RolloutCreation(outbox, config.PLINTH_HOST_LOST_SECONDS);
  const rollouts = new RolloutProgress(source, outbox, config.PLINTH_HOST_LOST_SECONDS, logger);
  const intake = new RequestIntake(source, outbox, new ContainerCreation(config), logger);
  const relocation = new ContainerRelocation(source, outbox, config, logger);
  const module: DynamicModule = {
    module: ProvisionerModule,
    controllers: [
      ContainerRequestedHandler,
      ContainerActionsHandler,
      ContainerUpdateRequestedHandler,
      RolloutRequestedHandler,
      RolloutActionsHandler,
      ContainerReportHandler,
      MasterReportHandler,
      HeartbeatsHandler,
      ImageFactsHandler,
      ImageActivationRequestedHandler,
      ImageRetirementRequestedHandler,
      HostSchedulingHandler,
      QueriesHandler,
      DropDeadLettersHandler,
    ],
    providers: [
      { provide: Outbox, useValue: outbox },
      { provide: CONNECTION, useValue: connection },
      { provide: DesiredState, useValue: new DesiredState(connection, source) },
      { provide: LOGGER, useValue: logger },
      { provide: RequestIntake, useValue: intake },
      { provide: ContainerAction, useValue: new ContainerAction(outbox) },
      { provide: ContainerUpdate, useValue: new ContainerUpdate(outbox, config.PLINTH_HOST_LOST_SECONDS) },
      { provide: ContainerRelocation, useValue: relocation },
      { provide: HostControl, useValue: new HostControl(outbox) },
      { provide: RolloutCreation, useValue: creation },
      { provide: RolloutControl, useValue: new RolloutControl(outbox) },
      { provide: RolloutProgress, useValue: rollouts },
      { provide: RolloutQueryStore, useValue: new RolloutQueryStore(source) },
      { provide: ImageRetirement, useValue: new ImageRetirement(outbox) },
      { provide: QueryStore, useValue: new QueryStore(source) },
    ],
  };
  return {
    module,
    readiness: [natsReadiness(connection), databaseReadiness(source)],
    start: () => {
      outbox.start();
      lostHosts.start();
      rollouts.start();
      relocation.start();
      intake.start();
    },
    stop: async () => {
      await lostHosts.stop();
      await rollouts.stop();
      await relocation.stop();
      await intake.stop();
      await outbox.close();
      await source.destroy();
    },
  };
}
