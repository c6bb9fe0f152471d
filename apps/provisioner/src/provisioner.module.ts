/** The provisioner: one module per room, on one database. */
import { Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import {
  CONNECTION,
  databaseReadiness,
  natsReadiness,
  persistenceModule,
  SERVICE_READINESS,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from './config.js';
import { ContainersModule } from './containers/containers.module.js';
import { HostsModule } from './hosts/hosts.module.js';
import { ImagesModule } from './images/images.module.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { MovesModule } from './moves/moves.module.js';
import { NetworkModule } from './network/network.module.js';
import { PROVISIONER_MIGRATIONS } from './postgres/migrations.js';
import { QueriesModule } from './queries/queries.module.js';
import { RebalanceModule } from './rebalance/rebalance.module.js';
import { ReportsModule } from './reports/reports.module.js';
import { RetentionModule } from './retention/retention.module.js';
import { RolloutsModule } from './rollouts/rollouts.module.js';

@Module({
  imports: [
    persistenceModule(ProvisionerConfig, {
      schema: 'provisioner',
      migrations: PROVISIONER_MIGRATIONS,
      poolSize: 20,
    }),
    NetworkModule,
    ContainersModule,
    RolloutsModule,
    MovesModule,
    RebalanceModule,
    HostsModule,
    ImagesModule,
    ReportsModule,
    QueriesModule,
    RetentionModule,
    MetricsModule,
  ],
  providers: [
    {
      provide: SERVICE_READINESS,
      inject: [CONNECTION, getDataSourceToken()],
      useFactory: (connection: NatsConnection, source: DataSource) => [
        natsReadiness(connection),
        databaseReadiness(source),
      ],
    },
  ],
  exports: [SERVICE_READINESS],
})
export class ProvisionerModule {}
