/** What computes without files and network: `@plinth/image-transfer/domain`, which domains of services may import. */
export { combineFailures, done, failed, type Failure, type Outcome, type Refused } from './failure.js';
export { answerRange, type RangeAnswer, type RangeRequest } from './byte-range.js';
export type { Installed, PeerSources, ProducedImage, TryProgress } from './installed.js';
export { parseDocument } from './json-document.js';
export { FRESH, longestPauseMs, mayHeal, planRetry, type RetryPlan, type RetryState } from './retry-plan.js';
export { type Fetcher, planSources, type SourceExperience, type SourcePlan } from './source-plan.js';
export { transfersWithin } from './token-bucket.js';
export { imageOfStaging, type ImageVersion, StoreLayout } from './store-layout.js';
