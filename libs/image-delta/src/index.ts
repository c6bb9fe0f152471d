/** What a new version of an image costs a node that has another one: only the bytes that differ. */
export { DELTA_FILES, deltaBytes, isDeltaFile, MAX_INDEX_BYTES, parseDeltaIndex } from './delta-index.js';
export type { DeltaFile, DeltaIndex } from './delta-index.js';
export { DELTA_FORMAT, type DeltaSegment, type Piece, planDelta, SEGMENT_LIMITS } from './delta-plan.js';
export { contentName, packDocument, packSegment, unpackDocument, unpackSegment } from './segment-files.js';
export type { SegmentSource, SegmentUse } from './segment-files.js';
export type { Expansion } from './zstd.js';
