/** What a start is asked for beside its spec, and what comes of it. */
import type { StartFailure } from './start-failure.js';

export interface StartedContainer {
  readonly ok: true;
  /** Host pid of the first process, and its start time in clock ticks after boot. */
  readonly pid: number;
  readonly pidStartTime: number;
  readonly phases: StartPhases;
}

export interface StartOptions {
  /**
   * The container's network is made before it, and given what it needs while the runtime makes everything else. Absent:
   * it has a loopback only, or the host's network.
   * @param namespace path of its network namespace, valid until it resolves; no process is in it yet
   * @returns why the container must not run; undefined: it may
   */
  readonly inNetwork?: (namespace: string) => Promise<string | undefined> | string | undefined;
  /**
   * In the place of `inNetwork`, when the network of the last run was kept. Absent: it is not used.
   * @param namespace path of it; its interface, addresses and routes are there
   */
  readonly inKeptNetwork?: (namespace: string) => Promise<string | undefined> | string | undefined;
  /**
   * What is to be done before the first process is let go, when its namespaces, cgroups and mounts are there.
   * @param pid of the first process on the host
   * @returns why it must not be let go; undefined: it may
   */
  readonly onCreated?: (pid: number) => Promise<string | undefined> | string | undefined;
}

/** Where the time of a start went, ms. */
export interface StartPhases {
  /** Writing the bundle. */
  readonly prepare: number;
  /** conmon and the runtime's `create`: namespaces, cgroups and all mounts, a custom mount script included. */
  readonly mount: number;
  /** Time until the first process is let go: the runtime's `start`, or what stands for it. */
  readonly runtime: number;
}

export type StartResult = StartedContainer | StartFailure;
