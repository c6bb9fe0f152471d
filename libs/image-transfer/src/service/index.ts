/** What services that fetch and serve images have in common: settings, and the server. */
export { ImageServer, type ServedAt } from './image-server.js';
export { ServingThread } from './serving-thread.js';
export { readTokens, serveSettings, type ServeSettings, TransferConfig } from './transfer-config.js';
