/** Sees when containers reach their limits, and reports it. */
import type { Logger } from '@plinth/service-kit';
import type { EffectiveLimits } from '@plinth/contracts';
import { limitEvents } from '@plinth/container-runtime';
import type { DiskUse } from '../adapters/volume-limits.js';
import type { HostClock } from '../adapters/host-clock.js';
import type { OciContainers } from '../adapters/oci-containers.js';
import { afterLimitReport, afterReading, dueLimits } from '../domain/limit-hits.js';
import type { ContainerState } from './container-state.js';

export class LimitWatch {
  constructor(
    private readonly containers: OciContainers,
    /** Of a data volume that is held to a limit; undefined: it is not. */
    private readonly diskUse: (state: ContainerState) => DiskUse | undefined,
    private readonly clock: HostClock,
    private readonly logger: Logger,
  ) {}

  /** Reads two or three files of the kernel, in this thread. @returns whether there is something to report */
  look(state: ContainerState): boolean {
    const nowMs = this.clock.now();
    const kind = state.observed.kind;
    // What is there while a container is started belongs to a run that is not counted yet.
    if ((kind === 'running' || kind === 'exited') && state.preparation === undefined) {
      try {
        const reading = {
          run: state.record.starts,
          ...limitEvents(this.containers.runtime.cgroupOf(state.id)),
          disk: this.diskUse(state),
        };
        state.limitsReached = afterReading(state.limitsReached, reading, nowMs);
      } catch (error) {
        // The container goes on, and so do the others; the next look may succeed.
        this.logger.error({ err: error, containerId: state.id }, 'its limits could not be read');
      }
    }
    return dueLimits(state.limitsReached, limitsOf(state), nowMs).length > 0;
  }

  /** Called by the container's actor: reports of a container follow each other. */
  async report(state: ContainerState): Promise<void> {
    const nowMs = this.clock.now();
    for (const { limit, value, count, sinceMs, lastMs } of dueLimits(state.limitsReached, limitsOf(state), nowMs)) {
      const limitsReached = afterLimitReport(state.limitsReached, limit, nowMs);
      const time = (ms: number): string => this.clock.timeOfDay(new Date(ms).toISOString());
      await state.report(
        {
          kind: 'limited',
          generation: state.effective.generation,
          image: state.effective.image,
          reached: { limit, value, count, since: time(sinceMs), at: time(lastMs) },
        },
        { limitsReached },
      );
      state.limitsReached = limitsReached;
    }
  }
}

const limitsOf = (state: ContainerState): EffectiveLimits => state.effective.limits;
