export { type ServiceDefinition, runService } from './bootstrap.js';
export {
  CONNECTION,
  CONSUMERS,
  LOGGER,
  SERVICE_READINESS,
  type ServiceContext,
  serviceContextModule,
} from './service-context.js';
export { type Component, LifeCycle, StartError } from './lifecycle/life-cycle.js';
export { ConfigError, loadConfig, ServiceConfig } from './config.js';
export { type NextPass, type Timers, TIMERS, WorkLoop, type WorkLoopOptions } from './lifecycle/work-loop.js';
export { createLogger, type Logger, NestLogger, withLogContext } from './logging.js';
export { boundedServer, HTTP_LIMITS, type HttpLimits } from './http/bounded-server.js';
export { HealthController, READINESS_CHECKS, type ReadinessCheck } from './http/health.controller.js';
export { countFact, expectRefusals, metricsRegistry } from './http/metrics.js';
export { type GaugeFamily, greatest, type Readings, readTogether, type Sample } from './http/readings.js';
export { databaseReadiness, natsReadiness } from './http/readiness.js';
export { connectNats, connectNatsOnce, type NatsOptions } from './messaging/connection.js';
export { ConsumerKeeper } from './messaging/consumer-keeper.js';
export { type ConsumerSource, KeptConsumers, type KeptWatch, OwnConsumers } from './messaging/consumer-source.js';
export { type BusCredentials, CredentialsError, credentialsFrom, readSecret } from './messaging/credentials.js';
export { dispose, MAX_DELIVERIES, PermanentError, retryDelay } from './messaging/delivery-policy.js';
export {
  decodeEnvelope,
  derivedId,
  encodeHeaders,
  type Envelope,
  newId,
  type ReceivedEvent,
} from './messaging/envelope.js';
export { InFlight } from './messaging/in-flight.js';
export { type ConsumerExtras, JetStreamStrategy } from './messaging/jetstream.strategy.js';
export { followStream } from './messaging/event-tail.js';
export { watchLastValues } from './messaging/last-value-watch.js';
export type { OrderedReading } from './messaging/ordered-reading.js';
export { deleteLastValue } from './messaging/last-value.js';
export {
  type EventAttributes,
  EventPublisher,
  type OutgoingEvent,
  type PublishedEvent,
} from './messaging/publisher.js';
export {
  assertContract,
  ContractViolationError,
  encodeHeartbeat,
  encodeReply,
} from './messaging/outgoing-contracts.js';
export { OnEvent, OnHeartbeats, OnQuery } from './messaging/handlers.js';
export type { ReceivedHeartbeat } from './messaging/heartbeats.js';
export { rejectionOf } from './messaging/rejection.js';
export { BusVersionError, ensureStreams } from './messaging/streams.js';
export { type DatabaseOptions, openDatabase } from './persistence/database.js';
export { Outbox } from './persistence/outbox.js';
export { isFirstInTurn } from './persistence/outbox-batch.js';
export { claimEvent, claimEvents, insertEvents, unclaimEvents } from './persistence/outbox-rows.js';
export { queryPrepared } from './persistence/prepared.js';
export { persistenceModule } from './persistence/persistence.module.js';
export { readStored, type StoredMessage, type StoredMessageQuery } from './messaging/stored-message.js';
export { VERSION } from './version.js';
export {
  type Cause,
  causeOf,
  type PublishOptions,
  type Refusal,
  UnitOfWork,
  type OutboxEvent,
} from './persistence/unit-of-work.js';
