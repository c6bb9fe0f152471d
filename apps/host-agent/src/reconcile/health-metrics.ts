/** Prometheus metrics of the health checks of this host. */
import { Counter, Gauge, Histogram } from 'prom-client';

export const checksRun = new Counter({
  name: 'plinth_health_checks_total',
  help: 'Health checks that ended, by result',
  labelNames: ['result'],
});

export const checkSeconds = new Histogram({
  name: 'plinth_health_check_seconds',
  help: 'From the begin of a health check to its end',
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
});

export const checkLagSeconds = new Histogram({
  name: 'plinth_health_check_lag_seconds',
  help: 'By how much a health check began later than it was due',
  buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
});

export const intervalStretch = new Gauge({
  name: 'plinth_health_interval_stretch',
  help: 'By what the intervals of health checks are multiplied, because the host can not keep up; 1: by nothing',
});
intervalStretch.set(1);

export const checkedContainers = new Gauge({
  name: 'plinth_health_checked_containers',
  help: 'Containers with a health check that run',
});
