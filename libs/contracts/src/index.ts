export * from './values.js';
export * from './manifest.js';
export * from './subjects.js';
export { environmentProblem, IsCommand, IsEnvironment, IsTimezone } from './rules.js';
