/** The console's own metrics. */
import { metricsRegistry } from '@plinth/service-kit';
import { Counter, Gauge } from 'prom-client';

export const openStreams = new Gauge({
  name: 'plinth_console_streams',
  help: 'Pages that are open',
  registers: [metricsRegistry],
});

export const logReaders = new Gauge({
  name: 'plinth_console_log_readers',
  help: 'Logs of containers that are being read',
  registers: [metricsRegistry],
});

export const signIns = new Counter({
  name: 'plinth_sign_ins_total',
  help: 'Tries to sign in, by method and outcome',
  labelNames: ['method', 'outcome'],
  registers: [metricsRegistry],
});

export const acts = new Counter({
  name: 'plinth_console_acts_total',
  help: 'What people ask for, by act and outcome',
  labelNames: ['act', 'outcome'],
  registers: [metricsRegistry],
});

export const isLive = new Gauge({
  name: 'plinth_console_live',
  help: '1: what the console shows is the present state',
  registers: [metricsRegistry],
});
