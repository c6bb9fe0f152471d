/** What every service has before its own module: providers of one global module. */
import { type DynamicModule, Module, type Type } from '@nestjs/common';
import type { NatsConnection } from 'nats';
import type { ServiceConfig } from './config.js';
import type { Logger } from './logging.js';
import type { ConsumerSource } from './messaging/consumer-source.js';
import { EventPublisher } from './messaging/publisher.js';

/** Token of the {@link Logger}. */
export const LOGGER = Symbol('logger');
/** Token of the {@link NatsConnection}. */
export const CONNECTION = Symbol('NATS connection');
/** Token of the {@link ConsumerSource}. */
export const CONSUMERS = Symbol('consumers');
/** Token of the service's own `readonly ReadinessCheck[]`; its module provides and exports it. */
export const SERVICE_READINESS = Symbol('readiness of the service');

export interface ServiceContext<C extends ServiceConfig> {
  readonly config: C;
  readonly logger: Logger;
  readonly connection: NatsConnection;
  readonly publisher: EventPublisher;
  readonly consumers: ConsumerSource;
}

@Module({})
class ServiceContextModule {}

/**
 * Provides the config under its class, {@link EventPublisher}, {@link LOGGER}, {@link CONNECTION} and
 * {@link CONSUMERS}.
 */
export function serviceContextModule<C extends ServiceConfig>(
  config: Type<C>,
  context: ServiceContext<C>,
): DynamicModule {
  const providers = [
    { provide: config, useValue: context.config },
    { provide: EventPublisher, useValue: context.publisher },
    { provide: LOGGER, useValue: context.logger },
    { provide: CONNECTION, useValue: context.connection },
    { provide: CONSUMERS, useValue: context.consumers },
  ];
  return {
    module: ServiceContextModule as Type<unknown>,
    global: true,
    providers,
    exports: providers.map(({ provide }) => provide),
  };
}
