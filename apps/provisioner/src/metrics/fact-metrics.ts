/**
 * Prometheus metrics of what has happened, counted from the facts when the bus has stored them: each fact once, by the
 * provisioner that published it, so the sum over all provisioners is right.
 */
import { Inject, Injectable } from '@nestjs/common';
import {
  CONTAINER_FAILURE_REASONS,
  CONTAINER_REJECTION_REASONS,
  DISTRIBUTION_FAILURE_REASONS,
  type EventSubject,
  type PayloadOf,
  SUBJECTS,
} from '@plinth/contracts';
import { EventPublisher, expectRefusals, type PublishedEvent } from '@plinth/service-kit';
import { Counter, Histogram } from 'prom-client';

const startSeconds = new Histogram({
  name: 'plinth_container_start_seconds',
  help: 'From the request, or the begin of a restart, to the running container; each phase, and all of them: total',
  labelNames: ['phase'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
});
const failures = new Counter({
  name: 'plinth_container_failures_total',
  help: 'Containers that failed, by reason: starts that did not succeed, and ends without a restart',
  labelNames: ['reason'],
});
const updates = new Counter({
  name: 'plinth_updates_total',
  help: 'Changes of the image of one container that ended: updated or reverted',
  labelNames: ['outcome'],
});
const downtime = new Histogram({
  name: 'plinth_revert_seconds',
  help: 'From the verdict that an update failed to the container that runs on its known good image again',
  buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
});
const moves = new Counter({
  name: 'plinth_containers_moved_total',
  help: 'Containers that were placed on another host, by reason',
  labelNames: ['reason'],
});
const distributed = new Histogram({
  name: 'plinth_distribution_seconds',
  help: 'Time in which an image was installed, on storage nodes and in the stores of hosts',
  labelNames: ['target'],
  buckets: [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800],
});
const distributedBytes = new Counter({
  name: 'plinth_distribution_bytes_total',
  help: 'Bytes that came over the network for images that were installed',
  labelNames: ['target'],
});
const distributionFailures = new Counter({
  name: 'plinth_distribution_failures_total',
  help: 'Tries to install an image that failed, by reason',
  labelNames: ['target', 'reason'],
});

/** What a fact counts for. Values of labels are of sets that the contracts name. */
type Measures = { readonly [S in EventSubject]?: (data: PayloadOf<S>) => void };

const MEASURES: Measures = {
  [SUBJECTS.containerStarted]: ({ durationMs, phases }) => {
    for (const [phase, ms] of Object.entries({ ...phases, total: durationMs }))
      startSeconds.observe({ phase }, ms / 1000);
  },
  [SUBJECTS.containerFailed]: ({ reason }) => failures.inc({ reason }),
  [SUBJECTS.containerMoved]: ({ reason }) => moves.inc({ reason }),
  [SUBJECTS.containerUpdated]: () => updates.inc({ outcome: 'updated' }),
  [SUBJECTS.containerReverted]: ({ durationMs }) => {
    updates.inc({ outcome: 'reverted' });
    if (durationMs !== undefined) downtime.observe(durationMs / 1000);
  },
  [SUBJECTS.imageDistributed]: ({ durationMs, downloadedBytes }) => {
    distributed.observe({ target: 'storage' }, durationMs / 1000);
    distributedBytes.inc({ target: 'storage' }, downloadedBytes);
  },
  [SUBJECTS.imageDistributionFailed]: ({ reason }) => distributionFailures.inc({ target: 'storage', reason }),
  [SUBJECTS.imageCached]: ({ durationMs, downloadedBytes }) => {
    if (durationMs !== undefined) distributed.observe({ target: 'host' }, durationMs / 1000);
    distributedBytes.inc({ target: 'host' }, downloadedBytes ?? 0);
  },
  [SUBJECTS.imageCacheFailed]: ({ reason }) => distributionFailures.inc({ target: 'host', reason }),
};

export function measureFact({ subject, data }: Pick<PublishedEvent, 'subject' | 'data'>): void {
  const measure = (MEASURES as Readonly<Record<string, ((data: object) => void) | undefined>>)[subject];
  measure?.(data);
}

/** An alert sees a number that grows, not one that appears. */
function beginAtZero(): void {
  for (const reason of CONTAINER_FAILURE_REASONS) failures.inc({ reason }, 0);
  for (const outcome of ['updated', 'reverted']) updates.inc({ outcome }, 0);
  for (const target of ['storage', 'host'])
    for (const reason of DISTRIBUTION_FAILURE_REASONS) distributionFailures.inc({ target, reason }, 0);
  expectRefusals('container', 'create', CONTAINER_REJECTION_REASONS);
}

@Injectable()
export class FactMetrics {
  constructor(@Inject(EventPublisher) publisher: EventPublisher) {
    beginAtZero();
    publisher.observe(measureFact);
  }
}
