/** Trees of images that stand on objects which they share: filled, checked, collected. */
export { extractArchive, type ExtractionJob } from './archive-extraction.js';
export { type DeltaFilling, fillFromDelta } from './delta-filling.js';
export { type Collection, collectObjects } from './object-collection.js';
export { fileFailure } from './file-failure.js';
export type { StoreFailure, StoreOutcome } from './outcome.js';
export type { FillSummary } from './tree-filling.js';
export { checkTree, FileReader, type TreeProblem } from './tree-check.js';
export { checkVersion } from './version-check.js';
export { repairTree } from './tree-repair.js';
