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
import { MovesModule } from './moves/moves.module.js';
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
import { QueriesModule } from './queries/queries.module.js';
import { ReportsModule } from './reports/reports.module.js';
import { RolloutsModule } from './rollouts/rollouts.module.js';

@Module({
  imports: [
    persistenceModule(ProvisionerConfig, {
      schema: 'provisioner',
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
      poolSize: 20,
    }),
    ContainersModule,
    RolloutsModule,
    MovesModule,
    HostsModule,
    ImagesModule,
    ReportsModule,
    QueriesModule,
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
