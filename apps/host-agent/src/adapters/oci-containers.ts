/** The container runtime in terms of the agent's domain. */
import { Histogram } from 'prom-client';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import {
  changeCgroupLimits,
  heldLimits,
  type ContainerSpec,
  type DirectoryWatch,
  type Disk,
  type ObservedContainer,
  type OciRuntime,
  type ResourceLimits,
  type StartFailureReason,
  type UnchangedLimit,
  unheldLimits,
  watchDirectory,
} from '@plinth/container-runtime';
import {
  type AgentPhases,
  type ContainerFailureReason,
  type EffectiveHealthCheck,
  type HostLimit,
  ID_PATTERN,
} from '@plinth/contracts';
import type { Observed, Running } from '../domain/observed.js';
import type { CheckResult } from '../domain/health.js';
import type { StartFailure } from '../domain/start-failure.js';
import { firstProcessNotices, signalNumber } from '../domain/stop-signal.js';
import { hasCode } from '@plinth/host-os';
import type { HostClock } from './host-clock.js';
import type { Attachment } from './networks.js';

export interface Started {
  readonly pid: number;
  readonly startedAtMs: number;
  readonly phases: Pick<AgentPhases, 'mount' | 'runtime'>;
}

/** Runs a health check once. Resolves with undefined when it was interrupted or the container no longer runs. */
export type HealthCheckRun = (signal: AbortSignal) => Promise<CheckResult | undefined>;

/** Label of the bundle: run generation of the config that the container was started from. */
export const RUN_GENERATION_LABEL = 'runGeneration';

/** Label of the bundle: the image that it was started from. */
export const IMAGE_LABEL = 'image';

/** Label of the bundle: whose ids its users have, `own` or `host`. */
export const USERS_LABEL = 'users';

/** Label of the bundle: files that each of its processes may have open; absent: not limited. */
export const OPEN_FILES_LABEL = 'openFiles';

/** Label of the bundle: the signal that asks its first process to end. */
export const STOP_SIGNAL_LABEL = 'stopSignal';
const EXIT_STATUS_PATIENCE_MS = 2_000;

/** proc(5): USER_HZ, 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

const REASONS: Readonly<Record<StartFailureReason, ContainerFailureReason>> = {
  'already-exists': 'internal-error',
  'command-not-found': 'command-not-found',
  'command-not-executable': 'command-not-found',
  'mount-script-failed': 'mount-script-failed',
  'mount-script-mismatch': 'mount-script-mismatch',
  'mount-script-timeout': 'mount-script-timeout',
  'mount-failed': 'runtime-error',
  'cgroup-failed': 'runtime-error',
  'limit-not-held': 'limit-not-held',
  'no-space': 'no-space',
  deadline: 'start-timeout',
  'runtime-failed': 'runtime-error',
  'no-id-range': 'no-id-range',
  'user-namespace-failed': 'user-namespace-failed',
  // The caller's own failure takes its place.
  refused: 'internal-error',
};

const runtimeSeconds = new Histogram({
  name: 'plinth_runtime_seconds',
  help: 'Time that an operation of the container runtime took',
  labelNames: ['operation'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
});

export class OciContainers {
  private watcher: DirectoryWatch | undefined;

  constructor(
    readonly runtime: OciRuntime,
    private readonly clock: HostClock,
  ) {}

  observe(id: string): Observed {
    return this.toObserved(this.runtime.observe(id));
  }

  /** Every container that has left a trace on this host. */
  observeAll(): ReadonlyMap<string, Observed> {
    return new Map(this.runtime.list().map((found) => [found.id, this.toObserved(found)]));
  }

  /** Removes what an agent that was killed during starts has left mounted. Before the first start. */
  removeStrayViews(beside: readonly number[]): Promise<void> {
    return this.runtime.removeStrayViews(beside);
  }

  expectStart(): void {
    this.runtime.expectStart();
  }

  async start(
    spec: ContainerSpec,
    { inNetwork, inKeptNetwork, onCreated }: Attachment = {},
  ): Promise<{ readonly ok: true; readonly value: Started } | { readonly ok: false; readonly failure: StartFailure }> {
    let refused: StartFailure | undefined;
    const measured = runtimeSeconds.startTimer({ operation: 'start' });
    const result = await this.runtime.start(spec, {
      ...(inNetwork && { inNetwork: async (namespace) => (refused = await inNetwork(namespace))?.message }),
      ...(inKeptNetwork && { inKeptNetwork: async (namespace) => (refused = await inKeptNetwork(namespace))?.message }),
      ...(onCreated && { onCreated: async (pid) => (refused = await onCreated(pid))?.message }),
    });
    measured();
    if (!result.ok) {
      if (result.reason === 'refused' && refused) return { ok: false, failure: refused };
      return { ok: false, failure: { reason: REASONS[result.reason], message: result.message } };
    }
    const { prepare, mount, runtime } = result.phases;
    return {
      ok: true,
      value: { pid: result.pid, startedAtMs: this.clock.now(), phases: { mount: prepare + mount, runtime } },
    };
  }

  /** `in-vain`: the kernel discards the signal, because the first process neither catches nor blocks it. */
  requestStop(pid: number, signal: string): 'sent' | 'in-vain' | 'gone' {
    const number = signalNumber(signal);
    if (number === undefined) return 'in-vain';
    try {
      const notices = firstProcessNotices(readFileSync(`/proc/${pid}/status`, 'utf8'), number);
      process.kill(pid, number);
      return notices ? 'sent' : 'in-vain';
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ESRCH')) return 'gone';
      throw error;
    }
  }

  /** Kills every process of it. @throws ContainerStuckError */
  kill(id: string): Promise<void> {
    return timed('kill', this.runtime.kill(id));
  }

  /** After a kill: the exit status follows the last process by the time that conmon needs to write it. */
  async awaitEnd(id: string): Promise<Observed> {
    const end = performance.now() + EXIT_STATUS_PATIENCE_MS;
    for (;;) {
      const found = this.runtime.observe(id);
      const observed = this.toObserved(found);
      const exitIsUnknown = observed.kind === 'exited' && observed.exitCode === undefined && found?.monitored === true;
      if ((observed.kind !== 'running' && !exitIsUnknown) || performance.now() > end) return observed;
      await delay(2);
    }
  }

  /** The stop signal that was stored in the bundle. */
  stopSignalOf(id: string): string {
    return this.runtime.observe(id)?.labels?.[STOP_SIGNAL_LABEL] ?? 'SIGTERM';
  }

  /** Before the end of a run that another follows at once. */
  keepNetwork(id: string): void {
    this.runtime.keepNetwork(id);
  }

  hasKeptNetwork(id: string): boolean {
    return this.runtime.hasKeptNetwork(id);
  }

  /** @param keepNetwork for a start that follows at once; see {@link hasKeptNetwork} */
  delete(id: string, { keepLog = false, keepNetwork = false } = {}): Promise<void> {
    return timed('delete', this.runtime.delete(id, { keepLog, keepNetwork }));
  }

  /** Of a container that runs. @returns what could not be changed */
  changeLimits(id: string, limits: ResourceLimits, disks: readonly Disk[]): UnchangedLimit[] {
    const { missingLimits, sharesOfProcessor } = this.runtime;
    return [
      ...changeCgroupLimits(this.runtime.cgroupOf(id), heldLimits(limits, missingLimits), disks, sharesOfProcessor),
      ...unheldLimits(limits, missingLimits).map(({ limit, message }) => ({
        limit,
        message: `this host can not hold it: ${message}`,
      })),
    ];
  }

  /** That this machine's cgroups can't hold. */
  get missingLimits(): readonly HostLimit[] {
    return this.runtime.missingLimits.map(({ limit }) => limit);
  }

  /** Whether this machine's cgroups have what the limit is held by. */
  holds(limit: UnchangedLimit['limit']): boolean {
    return this.runtime.missingLimits.every((missing) => missing.limit !== limit);
  }

  /** That a process of the present run may have; undefined: not limited. */
  openFilesOf(id: string): number | undefined {
    const label = this.runtime.observe(id)?.labels?.[OPEN_FILES_LABEL];
    return label === undefined ? undefined : Number(label);
  }

  /** Ends commands that an agent has left when it died. */
  endInterruptedCommands(id: string): Promise<void> {
    return this.runtime.endInterruptedCommands(id);
  }

  /** The health check of one run of a container. */
  healthCheck(id: string, { exec, timeoutSeconds }: EffectiveHealthCheck): HealthCheckRun {
    const command = this.runtime.repeatedCommand(id, exec);
    return async (signal) => {
      const result = await command.run(timeoutSeconds * 1000, signal);
      const { output } = result;
      if (result.ok) return { healthy: result.exitCode === 0, message: `exit code ${result.exitCode}`, output };
      if (result.reason === 'timeout') return { healthy: false, message: `no end within ${timeoutSeconds} s`, output };
      return undefined;
    };
  }

  /**
   * Calls back when a container's exit status appears. One notification channel for all of them; a lost one is found by
   * the periodic check.
   * @returns `poll` when the machine has no inotify instance left: an exit is noticed up to a second later
   */
  watchExits(onExit: (id: string) => void): DirectoryWatch['by'] {
    this.watcher = watchDirectory(this.runtime.paths.exits, (name) => {
      if (ID_PATTERN.test(name)) onExit(name);
    });
    return this.watcher.by;
  }

  close(): void {
    this.watcher?.close();
  }

  /**
   * The exit file has the time of day; its age, which is short when the end is noticed, gives the time on the agent's
   * clock.
   */
  private endOf({ exit }: ObservedContainer): { readonly atMs: number; readonly endedAtMs: number } {
    const nowMs = this.clock.now();
    if (!exit) return { atMs: nowMs, endedAtMs: nowMs };
    const atMs = Date.parse(exit.exitedAt);
    return { atMs, endedAtMs: nowMs - Math.max(0, Date.now() - atMs) };
  }

  private toObserved(found: ObservedContainer | undefined): Observed {
    if (!found) return { kind: 'absent' };
    switch (found.state) {
      case 'created':
      case 'partial':
        return { kind: 'partial' };
      case 'stopped':
        return { kind: 'exited', exitCode: found.exit?.code, ...this.endOf(found) };
      case 'running': {
        if (found.pid === undefined || found.pidStartTime === undefined) return { kind: 'partial' };
        const runGeneration = Number(found.labels?.[RUN_GENERATION_LABEL] ?? 0);
        return {
          kind: 'running',
          pid: found.pid,
          startedAtMs: this.clock.bootedAtMs + (found.pidStartTime / TICKS_PER_SECOND) * 1000,
          runGeneration,
          image: found.labels?.[IMAGE_LABEL],
          users: usersIn(found.labels?.[USERS_LABEL]),
        };
      }
    }
  }
}

function timed(operation: 'kill' | 'delete', work: Promise<void>): Promise<void> {
  const measured = runtimeSeconds.startTimer({ operation });
  return work.finally(() => measured());
}

function usersIn(label: string | undefined): Running['users'] {
  return label === 'own' || label === 'host' ? label : undefined;
}
