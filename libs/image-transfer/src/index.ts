/** Images of a repository become installed ones: downloaded as a whole or as a difference, verified, visible at once. */
export * from './domain/index.js';
export { downloadArchive, downloadFile, type ExpectedFile } from './archive-download.js';
export { digestOfFile } from './content-digest.js';
export { type DeltaBase, findDeltaBase } from './delta-base.js';
export { type Extract, extractInThread } from './extraction-thread.js';
export { fillTree, type FillJob } from './fill-tree.js';
export { Installation, type InstallationParts, type InstallationResult } from './installation.js';
export { type InstalledImage, InstalledImages, type Standing } from './installed-images.js';
export { runInThread } from './job-thread.js';
export { ObjectDirectory } from './object-directory.js';
export { fileUrl, readDocument, type Transfer } from './repository-client.js';
export { Staging } from './staging.js';
