/**
 * What the API answers, a file for each page; the OpenAPI document is made from these classes and those of the contracts.
 */
export * from './containers.js';
export * from './fleet.js';
export * from './rollouts.js';
export * from './images.js';
export * from './overview.js';
export * from './events.js';
export * from './requests.js';
export * from './access.js';
export * from './problem.js';
