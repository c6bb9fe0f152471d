/** All wiring of the provisioner. */
import type { DynamicModule } from '@nestjs/common';
import { databaseReadiness, natsReadiness, openDatabase, Outbox, type ServiceAssembly, type ServiceContext } from '@plinth/service-kit';
import { republishAll } from './adapters/desired-state.js';
import { AddRollouts1700000002000, CreateProvisionerTables1700000001000 } from './adapters/postgres/migrations.js';
import { QueryStore } from './adapters/postgres/query.store.js';
import type { ProvisionerConfig } from './config.js';
import { ContainerAction } from './container-action.js';
import { ContainerCreation } from './container-creation.js';
import { ContainerRemoveRequestedHandler } from './handlers/container-remove-requested.handler.js';
import { ContainerReportHandler } from './handlers/container-report.handler.js';
import { ContainerRequestedHandler } from './handlers/container-requested.handler.js';
import { ContainerRestartRequestedHandler } from './handlers/container-restart-requested.handler.js';
import { ContainerStartRequestedHandler } from './handlers/container-start-requested.handler.js';
import { ContainerStopRequestedHandler } from './handlers/container-stop-requested.handler.js';
import { HeartbeatsHandler } from './handlers/heartbeats.handler.js';
import { ImageActivationRequestedHandler } from './handlers/image-activation-requested.handler.js';
import { ImageFactsHandler } from './handlers/image-facts.handler.js';
import { MasterReportHandler } from './handlers/master-report.handler.js';
import { QueriesHandler } from './handlers/queries.handler.js';
import { LostHosts } from './lost-hosts.js';
import { CONNECTION, LOGGER } from './tokens.js';

class ProvisionerModule {}

export async function assemble({ config, logger, connection, publisher }: ServiceContext<ProvisionerConfig>): Promise<ServiceAssembly> {
  const source = await openDatabase({
    url: config.DATABASE_URL,
    schema: 'provisioner',
    entities: [],
    migrations: [CreateProvisionerTables1700000001000, AddRollouts1700000002000],
    logger,
    poolSize: 20,
  });
  const outbox = new Outbox(source, publisher, connection, logger, (stream) => {
    logger.warn({ stream }, 'desired state and status are published again');
    return republishAll(source);
  });
  const lostHosts = new LostHosts(outbox, config.PLINTH_HOST_LOST_SECONDS, logger);
  const module: DynamicModule = {
    module: ProvisionerModule,
    controllers: [
      ContainerRequestedHandler,
      ContainerStopRequestedHandler,
      ContainerStartRequestedHandler,
      ContainerRestartRequestedHandler,
      ContainerRemoveRequestedHandler,
      ContainerReportHandler,
      MasterReportHandler,
      HeartbeatsHandler,
      ImageFactsHandler,
      ImageActivationRequestedHandler,
      QueriesHandler,
    ],
    providers: [
      { provide: Outbox, useValue: outbox },
      { provide: CONNECTION, useValue: connection },
      { provide: LOGGER, useValue: logger },
      { provide: ContainerCreation, useValue: new ContainerCreation(outbox, config) },
      { provide: ContainerAction, useValue: new ContainerAction(outbox) },
      { provide: QueryStore, useValue: new QueryStore(source, config.PLINTH_HOST_LOST_SECONDS) },
    ],
  };
  return {
    module,
    readiness: [natsReadiness(connection), databaseReadiness(source)],
    start: () => {
      outbox.start();
      lostHosts.start();
    },
    stop: async () => {
      lostHosts.stop();
      await outbox.close();
      await source.destroy();
    },
  };
}
