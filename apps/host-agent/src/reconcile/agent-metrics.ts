/** Prometheus metrics of the agent and of what its containers take; none has the name or id of a container. */
import { type Logger, readTogether, type Sample } from '@plinth/service-kit';
import { Counter, Gauge } from 'prom-client';
import type { LeaseWatch } from '../adapters/lease-watch.js';
import type { FairQueue } from '../domain/fair-queue.js';
import { rankedSizes } from '../domain/ranked-sizes.js';
import type { Reporter } from './reporter.js';

export const starts = new Counter({
  name: 'plinth_agent_starts_total',
  help: 'Tries to start a container, by outcome: started, or the reason of the failure',
  labelNames: ['outcome'],
});

/** Thousands of small files of the kernel: not with every scrape. */
const MEMORY_KEPT_MS = 60_000;

interface Measured {
  readonly starts: FairQueue;
  readonly reporter: Reporter;
  readonly leases: LeaseWatch;
  readonly logger: Logger;
}

/** @param memoryOf bytes of one container's cgroup; 0: it has ended */
export function measureAgent(
  { starts: queue, reporter, leases, logger }: Measured,
  running: () => readonly { readonly id: string }[],
  memoryOf: (id: string) => Promise<number>,
): void {
  new Gauge({
    name: 'plinth_agent_start_queue',
    help: 'Starts that wait for a place',
    collect() {
      this.set(queue.length);
    },
  });
  new Gauge({
    name: 'plinth_agent_containers',
    help: 'Containers that run on this host',
    collect() {
      this.set(running().length);
    },
  });
  new Gauge({
    name: 'plinth_report_journal',
    help: 'Reports of containers that the bus has not stored yet',
    collect() {
      this.set(reporter.pending);
    },
  });
  new Gauge({
    name: 'plinth_lease_age_seconds',
    help: 'Time since the lease on the volumes of a storage node was renewed',
    labelNames: ['node'],
    collect() {
      this.reset();
      for (const [node, age] of leases.ages()) this.set({ node }, Math.max(0, age));
    },
  });
  new Counter({
    name: 'plinth_lease_losses_total',
    help: 'Leases that ran out, which ended the containers with volumes there',
    collect() {
      this.reset();
      this.inc(leases.losses);
    },
  });
  readTogether(
    {
      plinth_agent_memory_bytes: { help: "Memory that the cgroups of this host's containers take, all together" },
      plinth_container_memory_bytes: {
        help: 'Memory of one cgroup: of the container in the middle, at 99 of 100, and of the largest',
        labels: ['rank'],
      },
    },
    async () => {
      const sizes: number[] = [];
      for (const { id } of running()) sizes.push(await memoryOf(id));
      const { sum, ranks } = rankedSizes(sizes);
      return {
        plinth_agent_memory_bytes: [{ value: sum }],
        plinth_container_memory_bytes: Object.entries(ranks).map(([rank, value]): Sample => ({
          labels: { rank },
          value,
        })),
      };
    },
    logger,
    MEMORY_KEPT_MS,
  );
}
