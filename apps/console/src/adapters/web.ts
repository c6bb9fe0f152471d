/** What Node.js has of a request and its answer. */
export type { IncomingMessage, ServerResponse } from 'node:http';
