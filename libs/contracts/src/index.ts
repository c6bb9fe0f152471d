import 'reflect-metadata';
export * from './values.js';
export * from './image/manifest.js';
export { comparePaths } from './image/entry-validation.js';
export * from './image/file-capability.js';
export { MANIFEST_LIMITS } from './image/manifest-limits.js';
export { type CheckedManifest, validateManifest } from './image/manifest-validation.js';
export {
  checkRunSettings,
  comparePorts,
  EXPOSED_PORT_PATTERN,
  IMAGE_USER_PATTERN,
  MAX_EXPOSED_PORTS,
} from './image/run-settings.js';
export * from './image/system-init.js';
export * from './bus/bus-version.js';
export * from './bus/subjects.js';
export { environmentProblem, IsCommand, IsEnvironment, IsTimezone } from './rules.js';
export * from './bus/events/image-events.js';
export * from './bus/events/image-cache-events.js';
export * from './bus/events/container-facts.js';
export * from './bus/events/container-requests.js';
export * from './bus/events/update-events.js';
export * from './bus/events/change-events.js';
export * from './bus/events/rollout-events.js';
export * from './bus/events/host-events.js';
export * from './bus/events/rebalance-events.js';
export * from './bus/events/storage-events.js';
export * from './bus/events/tenant-events.js';
export * from './bus/events/reports.js';
export * from './bus/events/heartbeats.js';
export * from './bus/problem.js';
export * from './bus/dead-letter.js';
export * from './container-config.js';
export * from './container-limits.js';
export * from './container-network.js';
export * from './placement-rules.js';
export * from './production-image.js';
export * from './tenant-egress.js';
export * from './tenant-neighbours.js';
export * from './ip-networks.js';
export * from './address-pools.js';
export * from './bus/status.js';
export * from './bus/rollout-status.js';
export * from './bus/queries.js';
export * from './bus/replies.js';
export * from './bus/build-replies.js';
export * from './bus/image-queries.js';
export * from './bus/image-replies.js';
export * from './bus/process-replies.js';
export * from './bus/tenant-replies.js';
export * from './bus/placement-replies.js';
export * from './bus/rebalance-replies.js';
export { unknownFieldsOf } from './bus/contract.js';
export type { Contract, ContractKind, Party, Payload, UnknownFields } from './bus/contract.js';
export { CATALOGUE, CONTRACTS, consumedBy, contractFor, contractOf } from './bus/catalogue.js';
export type * from './bus/typed-subjects.js';
export { check as checkPayload, decodePayload, decodeReply, type Decoded } from './bus/decode.js';
export { withNulls } from './nested.js';
export { RepeatedDecoder } from './bus/repeated-decode.js';
export * from './console-link.js';
export * from './console-acts.js';
