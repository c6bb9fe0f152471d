/** Injection tokens for what has no class of its own here. */
export const CONNECTION = Symbol('NATS connection');
export const LOGGER = Symbol('logger');
