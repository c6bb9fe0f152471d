/** Images of a repository become installed ones: downloaded as a whole or as a difference, verified, visible at once. */
export * from './domain/index.js';
export { downloadArchive, downloadFile, type ExpectedFile } from './archive-download.js';
export { digestOfFile } from './content-digest.js';
export { markIfDamaged } from './damage-check.js';
export { type DeltaBase, findDeltaBase } from './delta-base.js';
export { type Extract, extractInThread } from './extraction-thread.js';
export { fillTree, type FillJob } from './fill-tree.js';
export { Installation, type InstallationParts, type InstallationResult } from './installation.js';
export { type InstallationJob, installInThread } from './installation-thread.js';
export { type InstalledImage, InstalledImages, type Standing } from './installed-images.js';
export { runInThread } from './job-thread.js';
export { ObjectDirectory } from './object-directory.js';
export { fileUrl, isAnswering, readDocument, type Transfer } from './repository-client.js';
export { askLater, refuse, refuseForeign, sendFile, type ServedFile } from './serve/http-files.js';
export { ImageServing, type ImageServingOptions } from './serve/image-serving.js';
export { PackedSegments, type PackedSegmentsOptions } from './serve/packed-segments.js';
export { SourceChoices } from './source-choices.js';
export { Staging } from './staging.js';
