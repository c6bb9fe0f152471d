/** What clients need of the bus, without the framework: `@plinth/service-kit/messaging`. */
export { connectNatsOnce, type NatsOptions } from './messaging/connection.js';
export { type BusCredentials, CredentialsError, credentialsFrom, loginOptions } from './messaging/credentials.js';
export { decodeEnvelope, derivedId, encodeHeaders, type Envelope, newId } from './messaging/envelope.js';
export { watchLastValues } from './messaging/last-value-watch.js';
export type { OrderedReading } from './messaging/ordered-reading.js';
export { type EventAttributes, EventPublisher, type OutgoingEvent } from './messaging/publisher.js';
export { newUserKey } from './messaging/nkey-login.js';
export { readStored, type StoredMessage, type StoredMessageQuery } from './messaging/stored-message.js';
