/** The life of a service process: validated config, NATS, module, handlers, health; and a graceful end. */
import 'reflect-metadata';
import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Server } from 'node:http';
import type { MicroserviceOptions } from '@nestjs/microservices';
import type { NatsConnection } from 'nats';
import { ConfigError, loadConfig, type ServiceConfig } from './config.js';
import { bound } from './http/bounded-server.js';
import { HealthController, READINESS_CHECKS, type ReadinessCheck } from './http/health.controller.js';
import { createLogger, type Logger, NestLogger } from './logging.js';
import { connectNats } from './messaging/connection.js';
import { ConsumerKeeper } from './messaging/consumer-keeper.js';
import { type ConsumerSource, KeptConsumers, OwnConsumers } from './messaging/consumer-source.js';
import { CredentialsError, credentialsFrom, hasLogin } from './messaging/credentials.js';
import { JetStreamStrategy } from './messaging/jetstream.strategy.js';
import { KeepExceptionFilter } from './messaging/keep-exception.filter.js';
import { EventPublisher } from './messaging/publisher.js';

/** What {@link runService} makes before the module. */
export interface ServiceContext<C extends ServiceConfig> {
  readonly config: C;
  readonly logger: Logger;
  readonly connection: NatsConnection;
  readonly publisher: EventPublisher;
  readonly consumers: ConsumerSource;
}

/** What a service's own wiring gives back. */
export interface ServiceAssembly {
  readonly module: DynamicModule;
  readonly readiness: readonly ReadinessCheck[];
  /** Copies with the same group share work; absent: all copies of the service. */
  readonly consumerGroup?: string;
  /** After the handlers listen. */
  readonly start?: () => Promise<void> | void;
  /** After no new work arrives and what was in hand is done, before NATS is drained. */
  readonly stop?: () => Promise<void> | void;
}

export interface ServiceDefinition<C extends ServiceConfig> {
  readonly name: string;
  readonly config: new () => C;
  /**
   * On which subject it asks for its consumers, where it logs in as somebody who may not create them. Absent: it is the one who
   * creates streams and consumers, and opens them for the others.
   */
  readonly consumers?: (config: C) => { readonly request: string; readonly watcher?: string };
  /**
   * Work that does not wait for NATS, e.g. keeping containers running while it is away.
   * @throws ConfigError for what only shows now, e.g. a missing directory
   */
  readonly prepare?: (base: Pick<ServiceContext<C>, 'config' | 'logger'>) => Promise<void>;
  readonly assemble: (context: ServiceContext<C>) => Promise<ServiceAssembly>;
}

@Module({})
class ServiceModule {}

/** sysexits.h */
const EX_CONFIG = 78;

/** @throws the error itself when it is about anything else */
function exitIfWrongConfig(service: string, error: unknown): never {
  if (!(error instanceof ConfigError || error instanceof CredentialsError)) throw error;
  process.stderr.write(`${service}: ${error.message}\n`);
  process.exit(EX_CONFIG);
}

/** Runs until SIGTERM or SIGINT. Exits 78 (EX_CONFIG, sysexits.h) on a wrong configuration. */
export async function runService<C extends ServiceConfig>(definition: ServiceDefinition<C>): Promise<void> {
  let config: C;
  try {
    config = loadConfig(definition.config, process.env);
  } catch (error) {
    exitIfWrongConfig(definition.name, error);
  }
  const logger = createLogger(definition.name, config.PLINTH_SERVICE_ID, config.LOG_LEVEL);
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'unhandled rejection');
    process.exit(70);
  });
  try {
    await definition.prepare?.({ config, logger });
  } catch (error) {
    exitIfWrongConfig(definition.name, error);
  }
  const credentials = credentialsFrom(config);
  const kept = hasLogin(credentials) ? definition.consumers?.(config) : undefined;
  const connection = await connectNats({
    url: config.NATS_URL,
    name: config.PLINTH_SERVICE_ID,
    logger,
    credentials,
    declareStreams: kept === undefined,
  }).catch((error: unknown) => {
    exitIfWrongConfig(definition.name, error);
  });
  const consumers = kept ? new KeptConsumers(connection, kept.request, kept.watcher) : new OwnConsumers(connection);
  const keeper = definition.consumers ? undefined : new ConsumerKeeper(connection, logger);
  keeper?.start();
  const publisher = new EventPublisher(connection, `${definition.name}/${config.PLINTH_SERVICE_ID}`);
  const assembly = await definition.assemble({ config, logger, connection, publisher, consumers });
  const strategy = new JetStreamStrategy({
    connection,
    publisher,
    logger,
    consumers,
    waitForConsumers: kept === undefined,
    service: definition.name,
    consumerGroup: assembly.consumerGroup,
  });

  const root: DynamicModule = {
    module: ServiceModule as Type<unknown>,
    imports: [assembly.module],
    controllers: [HealthController],
    providers: [{ provide: READINESS_CHECKS, useValue: [...assembly.readiness, strategy.readiness] }],
  };
  const app = await NestFactory.create(root, { logger: new NestLogger(logger), forceCloseConnections: true });
  app.useGlobalFilters(new KeepExceptionFilter(app.getHttpAdapter()));
  app.connectMicroservice<MicroserviceOptions>({ strategy }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await assembly.start?.();
  bound(app.getHttpServer() as Server);
  await app.listen(config.PLINTH_HTTP_PORT, config.PLINTH_HTTP_HOST);
  logger.info({ url: await app.getUrl() }, 'ready');

  let ending = false;
  const end = async (signal: string): Promise<void> => {
    if (ending) return;
    ending = true;
    logger.info({ signal }, 'stopping');
    await strategy.close();
    await keeper?.close();
    await assembly.stop?.();
    await app.close();
    await connection.drain();
    logger.info('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      end(signal).catch((error: unknown) => {
        logger.fatal({ err: error }, 'could not stop cleanly');
        process.exit(70);
      });
    });
  }
}
