/** For how long no heartbeat has been received, by this process's monotonic clock: the time of day may jump. */
export interface HeartbeatCount {
  readonly name: string;
  /** Counts its heartbeats. */
  readonly beats: string;
}

export class Silence {
  private readonly lastCounts = new Map<string, { readonly beats: string; readonly atMs: number }>();

  /** Heartbeats were lost while no provisioner ran: each node has the full time from when it is first checked. */
  among<T extends HeartbeatCount>(all: readonly T[], nowMs: number): (seconds: number) => T[] {
    for (const { name, beats } of all)
      if (this.lastCounts.get(name)?.beats !== beats) this.lastCounts.set(name, { beats, atMs: nowMs });
    return (seconds) => all.filter(({ name }) => nowMs - (this.lastCounts.get(name)?.atMs ?? nowMs) >= seconds * 1000);
  }
}
