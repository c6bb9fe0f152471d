/**
 * Before every handler: headers for browsers, and who may send requests at all. A page of another site can neither
 * change anything here (`Origin`) nor read it under a name of its own that leads here (`Host`).
 */
import { Inject, Injectable, type NestMiddleware } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from '../adapters/web.js';
import { ConsoleConfig } from '../config.js';
import { problemBody } from '../domain/problem.js';

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
};
const OWN_NAMES = ['127.0.0.1', 'localhost', '[::1]'];
const READS = ['GET', 'HEAD'];

@Injectable()
export class EdgeMiddleware implements NestMiddleware {
  private readonly origin: URL | undefined;

  constructor(@Inject(ConsoleConfig) { PLINTH_CONSOLE_URL: url }: ConsoleConfig) {
    this.origin = url === undefined ? undefined : new URL(url);
  }

  use(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const { host = '', origin, authorization, cookie } = request.headers;
    const isOwnHost = this.origin ? host === this.origin.host : OWN_NAMES.includes(host.replace(/:\d+$/, ''));
    const expected = this.origin?.origin ?? `http://${host}`;
    // No browser adds a token by itself, as it adds a cookie: programs need no origin.
    const needsOrigin = !READS.includes(request.method ?? '') && (authorization === undefined || cookie !== undefined);
    if (isOwnHost && (origin === expected || (origin === undefined && !needsOrigin))) {
      next();
      return;
    }
    const body = problemBody(
      'foreign-origin',
      'requests come from the console’s own page; PLINTH_CONSOLE_URL names it',
    );
    response.statusCode = body.status;
    response.setHeader('content-type', 'application/problem+json');
    response.end(JSON.stringify(body));
  }
}
