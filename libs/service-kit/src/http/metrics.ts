/** Prometheus metrics that every service has. */
import { collectDefaultMetrics, Counter, Histogram, register } from 'prom-client';

collectDefaultMetrics();

export const handledEvents = new Counter({
  name: 'plinth_events_handled_total',
  help: 'Events taken from the bus, by subject and outcome',
  labelNames: ['subject', 'outcome'],
});

export const handlingSeconds = new Histogram({
  name: 'plinth_event_handling_seconds',
  help: 'Time a handler held an event',
  labelNames: ['subject'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300],
});

export { register as metricsRegistry };
