/** Prometheus metrics of the machine's resolver, as it has reported them last: all agents of a machine show the same. */
import { Counter, Gauge } from 'prom-client';
import type { Networks } from '../adapters/networks.js';

export function measureNames(networks: Networks): void {
  new Counter({
    name: 'plinth_names_queries_total',
    help: 'Queries for names, by what became of them, since the resolver of this machine was started',
    labelNames: ['result'],
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(networks.resolver?.counters ?? {})) this.inc({ result }, count);
    },
  });
  new Gauge({
    name: 'plinth_names_known',
    help: 'Names that the resolver of this machine knows; absent while none answers',
    collect() {
      this.reset();
      const { resolver } = networks;
      if (resolver) this.set(resolver.names);
      else this.remove();
    },
  });
}
