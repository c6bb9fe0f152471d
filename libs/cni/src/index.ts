/** Networks of the host that plugins of CNI make: configuration, calls, results. */
export { CniError, CniNetwork, type CniOptions, type Made } from './cni-network.js';
export { type CniConfiguration, isObject, type JsonObject, parseConfiguration } from './configuration.js';
export type { Attachment } from './plugin-call.js';
export { CNI_DIRECTORIES } from './plugin-files.js';
export { endPlugins } from './plugin-processes.js';
export { type NameSettings, type NetworkResult, readResult } from './result.js';
