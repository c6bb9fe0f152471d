/** An HTTP(S) server that a slow, greedy or silent client can't hold: every wait and every size has a bound. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

export interface HttpLimits {
  /** Time from the first byte of a request to the end of its headers, milliseconds. */
  readonly headersMs: number;
  /** Time to the end of its body. */
  readonly requestMs: number;
  /** Without a byte in either direction, also while an answer is sent. */
  readonly idleMs: number;
  readonly headerBytes: number;
  /** Open at once; more are closed without an answer. */
  readonly connections: number;
}

export const HTTP_LIMITS: HttpLimits = {
  headersMs: 10_000,
  requestMs: 20_000,
  idleMs: 60_000,
  headerBytes: 8 * 1024,
  connections: 256,
};

/** Requests over one connection before it is closed. */
const REQUESTS_PER_CONNECTION = 1_000;

/** @param tls PEM; absent: plain HTTP */
export function boundedServer(
  listener: RequestListener,
  tls?: { readonly cert: Buffer; readonly key: Buffer },
  limits: HttpLimits = HTTP_LIMITS,
): Server {
  const options = {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    // The two above are checked no more often than this.
    connectionsCheckingInterval: Math.min(limits.headersMs / 4, 1_000),
    keepAliveTimeout: Math.min(limits.idleMs, 5_000),
    maxHeaderSize: limits.headerBytes,
  };
  const server = tls
    ? createSecureServer({ ...options, ...tls, minVersion: 'TLSv1.2' }, listener)
    : createServer(options, listener);
  return bound(server, limits);
}

/** For a server that other code made: all bounds but the size of headers, which is Node's (16 KiB). */
export function bound<S extends Server>(server: S, limits: HttpLimits = HTTP_LIMITS): S {
  server.headersTimeout = limits.headersMs;
  server.requestTimeout = limits.requestMs;
  server.maxConnections = limits.connections;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION;
  server.maxHeadersCount = 64;
  server.setTimeout(limits.idleMs, (socket) => socket.destroy());
  return server;
}
