/** What the container runtime shows of one container, at one moment. */
export type Observed =
  /** No runtime state, no bundle. */
  | { readonly kind: 'absent' }
  /** An interrupted start: a bundle or runtime state, but neither a first process nor an exit status. */
  | { readonly kind: 'partial' }
  | Running
  | Exited;

export interface Running {
  readonly kind: 'running';
  /** Pid of the first process on the host. */
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Run generation of the config that it was started from, as kept in its bundle. */
  readonly runGeneration: number;
  /** The image that it was started from, as kept in its bundle. */
  readonly image?: string;
  /** Whose ids its users have, as kept in its bundle. */
  readonly users?: 'own' | 'host';
}

export interface Exited {
  readonly kind: 'exited';
  /** 128 + n when signal n ended it; absent: not known. */
  readonly exitCode?: number;
  /**
   * The end by the time of day: the same at every observation, so that one end is counted once. Milliseconds since the
   * epoch.
   */
  readonly atMs: number;
  /** The end by the agent's clock, which does not jump; used for the length of the run. Absent: as {@link atMs}. */
  readonly endedAtMs?: number;
}

export const ABSENT: Observed = { kind: 'absent' };
