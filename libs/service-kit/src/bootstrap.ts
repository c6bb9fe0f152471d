/**
 * The life of a service process: validated config, NATS, the service's module, its components, handlers, health; and a
 * graceful end.
 */
import 'reflect-metadata';
import { type DynamicModule, type ExceptionFilter, type INestApplication, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Server } from 'node:http';
import type { MicroserviceOptions } from '@nestjs/microservices';
import type { NatsConnection } from 'nats';
import { ConfigError, loadConfig, type ServiceConfig } from './config.js';
import { bound } from './http/bounded-server.js';
import { countFact, measureRequests, setBuildInfo } from './http/metrics.js';
import { HealthController, READINESS_CHECKS, type ReadinessCheck } from './http/health.controller.js';
import { type Component, LifeCycle, StartError } from './lifecycle/life-cycle.js';
import { createLogger, type Logger, logPublished, NestLogger } from './logging.js';
import { connectNats } from './messaging/connection.js';
import { ConsumerKeeper } from './messaging/consumer-keeper.js';
import { KeptConsumers, type KeptTail, type KeptWatch, OwnConsumers } from './messaging/consumer-source.js';
import { CredentialsError, credentialsFrom, hasLogin } from './messaging/credentials.js';
import { JetStreamStrategy } from './messaging/jetstream.strategy.js';
import { KeepExceptionFilter } from './messaging/keep-exception.filter.js';
import { EventPublisher } from './messaging/publisher.js';
import { SERVICE_READINESS, type ServiceContext, serviceContextModule } from './service-context.js';

export interface ServiceDefinition<C extends ServiceConfig> {
  readonly name: string;
  readonly config: Type<C>;
  /**
   * On which subject it asks for its consumers, where its login may not create them. Absent: it is the service that
   * creates streams and consumers, and opens them for the others.
   */
  readonly consumers?: (config: C) => {
    readonly request: string;
    readonly watcher?: string;
    readonly watches?: readonly KeptWatch[];
    readonly tails?: readonly KeptTail[];
  };
  /** Copies with the same group share work; absent: all copies of the service. */
  readonly consumerGroup?: (config: C) => string;
  /**
   * Work that does not wait for NATS, e.g. keeping containers running while it is away.
   * @returns its parts by name, in the order of their start; they are stopped after the components, while NATS is still
   * there
   * @throws ConfigError for what only shows now, e.g. a missing directory
   */
  readonly prepare?: (
    base: Pick<ServiceContext<C>, 'config' | 'logger'>,
  ) => Promise<Readonly<Record<string, Component>>>;
  /**
   * Called after NATS is there. Providers may inject what {@link serviceContextModule} provides;
   * {@link SERVICE_READINESS} is one of them.
   */
  readonly module: (config: C) => Type<unknown> | DynamicModule;
  /** How the service answers HTTP requests that fail, also before a controller has them; absent: as Nest does. */
  readonly httpErrors?: (logger: Logger) => ExceptionFilter;
  /**
   * Providers of the module that have a start and an end, in the order of their start; the handlers begin after them
   * and end before them.
   */
  readonly components: readonly Type<Component>[];
}

@Module({})
class ServiceModule {}

/** sysexits.h */
const EX_CONFIG = 78;
const EX_SOFTWARE = 70;

/**
 * Runs until SIGTERM or SIGINT. Exit codes, of sysexits.h: 0 after a clean end, 70 when something could not be started
 * or stopped, 78 on a wrong configuration.
 */
export async function runService<C extends ServiceConfig>(definition: ServiceDefinition<C>): Promise<void> {
  let config: C;
  try {
    config = loadConfig(definition.config, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${definition.name}: ${error.message}\n`);
    process.exit(EX_CONFIG);
  }
  const logger = createLogger(definition.name, config.PLINTH_SERVICE_ID, config.LOG_LEVEL);
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'unhandled rejection');
    process.exit(EX_SOFTWARE);
  });
  const life = new LifeCycle(logger);
  try {
    await startService(definition, config, logger, life);
  } catch (error) {
    await life.stop();
    const reason = error instanceof StartError ? error.cause : error;
    if (reason instanceof ConfigError || reason instanceof CredentialsError) {
      process.stderr.write(`${definition.name}: ${reason.message}\n`);
      process.exit(EX_CONFIG);
    }
    logger.fatal({ err: error }, 'could not start');
    process.exit(EX_SOFTWARE);
  }
  stopOnSignal(life, logger);
}

async function startService<C extends ServiceConfig>(
  definition: ServiceDefinition<C>,
  config: C,
  logger: Logger,
  life: LifeCycle,
): Promise<void> {
  const prepared = (await definition.prepare?.({ config, logger })) ?? {};
  let context: ServiceContext<C>;
  try {
    context = await connect(definition, config, logger, life);
  } finally {
    for (const [name, component] of Object.entries(prepared)) await life.start(name, component);
  }
  const { connection, publisher, consumers } = context;
  const strategy = new JetStreamStrategy({
    connection,
    publisher,
    logger,
    consumers,
    waitForConsumers: consumers instanceof OwnConsumers,
    service: definition.name,
    consumerGroup: definition.consumerGroup?.(config),
  });
  const app = await createApplication(definition, context, strategy);
  // Nest's own hooks: what has no order among the components, such as the pool of the database, ends with them.
  await life.start('module', { start: async () => void (await app.init()), stop: () => app.close() });
  for (const type of definition.components) await life.start(type.name, app.get<Component>(type, { strict: false }));
  await life.start('handlers', {
    start: async () => void (await app.startAllMicroservices()),
    stop: () => strategy.close(),
  });
  bound(app.getHttpServer() as Server);
  await app.listen(config.PLINTH_HTTP_PORT, config.PLINTH_HTTP_HOST);
  logger.info({ url: await app.getUrl() }, 'ready');
}

/** Connects to the bus, as the service that opens consumers for the others or as one of the others. */
async function connect<C extends ServiceConfig>(
  definition: ServiceDefinition<C>,
  config: C,
  logger: Logger,
  life: LifeCycle,
): Promise<ServiceContext<C>> {
  const credentials = credentialsFrom(config);
  const kept = hasLogin(credentials) ? definition.consumers?.(config) : undefined;
  const connection: NatsConnection = await connectNats({
    url: config.NATS_URL,
    name: config.PLINTH_SERVICE_ID,
    logger,
    credentials,
    declareStreams: kept === undefined,
    replicas: config.PLINTH_BUS_REPLICAS,
  });
  await life.start('NATS connection', { stop: () => connection.drain() });
  if (!definition.consumers) {
    const keeper = new ConsumerKeeper(connection, logger);
    await life.start('consumer keeper', { start: () => keeper.start(), stop: () => keeper.close() });
  }
  const consumers = kept
    ? new KeptConsumers(connection, kept.request, kept.watcher, kept.watches, kept.tails)
    : new OwnConsumers(connection);
  const publisher = new EventPublisher(connection, `${definition.name}/${config.PLINTH_SERVICE_ID}`);
  publisher.observe(countFact);
  publisher.observe((event) => logPublished(logger, event));
  setBuildInfo(definition.name);
  return { config, logger, connection, publisher, consumers };
}

async function createApplication<C extends ServiceConfig>(
  definition: ServiceDefinition<C>,
  context: ServiceContext<C>,
  strategy: JetStreamStrategy,
): Promise<INestApplication> {
  const root: DynamicModule = {
    module: ServiceModule as Type<unknown>,
    imports: [serviceContextModule(definition.config, context), definition.module(context.config)],
    controllers: [HealthController],
    providers: [
      {
        provide: READINESS_CHECKS,
        inject: [SERVICE_READINESS],
        useFactory: (checks: readonly ReadinessCheck[]) => [...checks, strategy.readiness],
      },
    ],
  };
  const app = await NestFactory.create(root, {
    logger: new NestLogger(context.logger),
    forceCloseConnections: true,
    abortOnError: false,
  });
  app.use(measureRequests);
  const { httpErrors } = definition;
  // The last one has what it can take.
  app.useGlobalFilters(
    new KeepExceptionFilter(app.getHttpAdapter()),
    ...(httpErrors ? [httpErrors(context.logger)] : []),
  );
  app.connectMicroservice<MicroserviceOptions>({ strategy }, { inheritAppConfig: true });
  return app;
}

function stopOnSignal(life: LifeCycle, logger: Logger): void {
  let ending = false;
  const end = async (signal: string): Promise<void> => {
    if (ending) return;
    ending = true;
    logger.info({ signal }, 'stopping');
    const failed = await life.stop();
    if (failed.length > 0) logger.fatal({ components: failed }, 'could not stop cleanly');
    else logger.info('stopped');
    process.exit(failed.length > 0 ? EX_SOFTWARE : 0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(signal));
}
