/** Injection tokens of what is no class. */
export const LOGGER = Symbol('logger');
