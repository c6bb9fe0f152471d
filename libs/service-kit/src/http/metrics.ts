/** Prometheus metrics that every service has. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SUBJECTS } from '@plinth/contracts';
import { collectDefaultMetrics, Counter, Gauge, Histogram, register } from 'prom-client';
import type { PublishedEvent } from '../messaging/publisher.js';
import { VERSION } from '../version.js';

collectDefaultMetrics();
// Gauges with the ending of counters; the same without it is there by type.
for (const kind of ['handles', 'requests', 'resources']) register.removeSingleMetric(`nodejs_active_${kind}_total`);

export const handledEvents = new Counter({
  name: 'plinth_events_handled_total',
  help: 'Events taken from the bus, by subject and outcome',
  labelNames: ['subject', 'outcome'],
});

export const handlingSeconds = new Histogram({
  name: 'plinth_event_handling_seconds',
  help: 'Time a handler held an event',
  labelNames: ['subject'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 30, 300],
});

const publishedFacts = new Counter({
  name: 'plinth_facts_published_total',
  help: 'Facts that the bus has stored for this process, by subject',
  labelNames: ['subject'],
});

/** Other subjects name an instance, and have no end. */
const FACTS: ReadonlySet<string> = new Set(Object.values(SUBJECTS));

const refusals = new Counter({
  name: 'plinth_requests_rejected_total',
  help: 'Requests that were refused, by what they were about, operation and reason',
  labelNames: ['entity', 'operation', 'reason'],
});

/** Shows 0 for refusals that have not happened: an alert sees a number that grows, not one that appears. */
export function expectRefusals(entity: string, operation: string, reasons: readonly string[]): void {
  for (const reason of reasons) refusals.inc({ entity, operation, reason }, 0);
}

export function countFact({ subject, data }: Pick<PublishedEvent, 'subject' | 'data'>): void {
  if (!FACTS.has(subject)) return;
  publishedFacts.inc({ subject });
  const [entity = '', outcome] = subject.split('.');
  // Both are of sets that the contracts name.
  const { operation, reason } = data as { readonly operation?: string; readonly reason?: string };
  if (outcome === 'rejected' && operation !== undefined && reason !== undefined)
    refusals.inc({ entity, operation, reason });
}

const buildInfo = new Gauge({
  name: 'plinth_build_info',
  help: '1; the labels are the program and its version',
  labelNames: ['program', 'version'],
});

export function setBuildInfo(program: string): void {
  buildInfo.set({ program, version: VERSION }, 1);
}

const requestSeconds = new Histogram({
  name: 'plinth_http_request_seconds',
  help: 'Time from a request over HTTP to the end of its answer, by the pattern of its route',
  labelNames: ['route', 'method', 'status'],
  buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
});
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** What Express has found the route by; absent: none fits. */
interface Routed {
  readonly route?: { readonly path?: unknown };
}

/** A middleware of Express. A stream of events is no request with a duration. */
export function measureRequests(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const begun = performance.now();
  response.once('close', () => {
    if (String(response.getHeader('content-type') ?? '').startsWith('text/event-stream')) return;
    const path = (request as Routed).route?.path;
    requestSeconds.observe(
      {
        route: typeof path === 'string' ? path : 'none',
        method: METHODS.has(request.method ?? '') ? request.method : 'other',
        status: response.statusCode,
      },
      (performance.now() - begun) / 1000,
    );
  });
  next();
}

export { register as metricsRegistry };
