/** What the container runtime shows of one container, at one moment. */
export type Observed =
  /** No runtime state, no bundle. */
  | { readonly kind: 'absent' }
  /** A start that was cut off: a bundle or runtime state, but neither a first process nor an exit status. */
  | { readonly kind: 'partial' }
  | Running
  | Exited;

export interface Running {
  readonly kind: 'running';
  /** Of the first process, in the host's numbering. */
  readonly pid: number;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Of the config that it was started from, as kept in its bundle. */
  readonly runGeneration: number;
  /** That it was started from, as kept in its bundle. */
  readonly image?: string;
}

export interface Exited {
  readonly kind: 'exited';
  /** 128 + n when signal n ended it; absent: nobody saw its end. */
  readonly exitCode?: number;
  /** By the time of day when it ended: the same at every look, so that one end is counted once. Milliseconds since the epoch. */
  readonly atMs: number;
  /** By the agent's clock, which does not jump: for how long the run lasted. Absent: as {@link atMs}. */
  readonly endedAtMs?: number;
}

export const ABSENT: Observed = { kind: 'absent' };
