export { consoleAddress, consoleLink } from './console-link.js';
export { findLeftovers } from './leftovers.js';
export { ensureSigningKeys } from './signing-keys.js';
export * from './stack-file.js';
export * from './stack-plan.js';
export { runningIds, startStack, type StartOptions } from './start-stack.js';
export { stopStack, type StopReport } from './stop-stack.js';
