/** All wiring of the console. */
import { type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
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
import { Accounts } from './access/accounts.js';
import { Acting } from './access/acting.js';
import { ProviderSignIn } from './access/provider-sign-in.js';
import { SignIn } from './access/sign-in.js';
import { Tokens } from './access/tokens.js';
import { ActBus } from './adapters/act-bus.js';
import { ContainerOutput } from './adapters/container-output.js';
import { DeadLetters } from './adapters/dead-letters.js';
import { EventFeed } from './adapters/event-feed.js';
import { IdentityProvider } from './adapters/identity-provider.js';
import { OIDC_SETTINGS, oidcSettings } from './adapters/oidc-settings.js';
import { AddAudit1700000002000, AddPublished1700000003000 } from './adapters/postgres/audit.schema.js';
import { AuditStore } from './adapters/postgres/audit.store.js';
import { TokenStore } from './adapters/postgres/token.store.js';
import { ActsController } from './handlers/acts.controller.js';
import { DeadLettersController } from './handlers/dead-letters.controller.js';
import { EventsController } from './handlers/events.controller.js';
import { PeopleController } from './handlers/people.controller.js';
import { EventStreams } from './live/event-streams.js';
import { LogReaders } from './live/log-readers.js';
import { RequestWatch } from './live/request-watch.js';
import { PageFiles } from './adapters/page-files.js';
import { CreateConsole1700000001000 } from './adapters/postgres/console.schema.js';
import { PeopleStore } from './adapters/postgres/people.store.js';
import { AddProviderPeople1700000004000 } from './adapters/postgres/provider-people.schema.js';
import { ProviderPeopleStore } from './adapters/postgres/provider-people.store.js';
import { PresentState } from './adapters/present-state.js';
import { ProvisionerQueries } from './adapters/provisioner-queries.js';
import { ConsoleConfig } from './config.js';
import { ContainersController } from './handlers/containers.controller.js';
import { EdgeMiddleware } from './handlers/edge.middleware.js';
import { LogsController } from './handlers/logs.controller.js';
import { FleetController } from './handlers/fleet.controller.js';
import { OidcController } from './handlers/oidc.controller.js';
import { PageController } from './handlers/page.controller.js';
import { SessionController } from './handlers/session.controller.js';
import { StreamController } from './handlers/stream.controller.js';
import { Streams } from './live/streams.js';

@Module({
  imports: [
    persistenceModule(ConsoleConfig, {
      schema: 'console',
      migrations: [
        CreateConsole1700000001000,
        AddAudit1700000002000,
        AddPublished1700000003000,
        AddProviderPeople1700000004000,
      ],
    }),
  ],
  // The page last: it answers paths of the API that no other has.
  controllers: [
    SessionController,
    OidcController,
    ContainersController,
    LogsController,
    FleetController,
    StreamController,
    EventsController,
    ActsController,
    PeopleController,
    DeadLettersController,
    PageController,
  ],
  providers: [
    Accounts,
    ActBus,
    Acting,
    AuditStore,
    DeadLetters,
    EventFeed,
    EventStreams,
    IdentityProvider,
    ContainerOutput,
    LogReaders,
    PageFiles,
    PeopleStore,
    PresentState,
    ProviderPeopleStore,
    ProviderSignIn,
    ProvisionerQueries,
    RequestWatch,
    SignIn,
    Tokens,
    TokenStore,
    Streams,
    { provide: OIDC_SETTINGS, inject: [ConsoleConfig], useFactory: oidcSettings },
    {
      provide: SERVICE_READINESS,
      inject: [CONNECTION, getDataSourceToken(), PresentState],
      useFactory: (connection: NatsConnection, source: DataSource, state: PresentState) => [
        natsReadiness(connection),
        databaseReadiness(source),
        state.readiness,
      ],
    },
  ],
  exports: [SERVICE_READINESS],
})
export class ConsoleModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(EdgeMiddleware).exclude('health/live', 'health/ready', 'metrics').forRoutes('{*path}');
  }
}
