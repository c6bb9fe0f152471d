/** Who has not been heard for how long, by this process's clock: what jumps is the time of day. */
export interface Heard {
  readonly name: string;
  /** Counts its heartbeats. */
  readonly beats: string;
}

export class Silence {
  private readonly heard = new Map<string, { readonly beats: string; readonly atMs: number }>();

  /** While no provisioner ran nobody could hear the heartbeats: everyone has the full time from when it is first looked at. */
  among<T extends Heard>(all: readonly T[], nowMs: number): (seconds: number) => T[] {
    for (const { name, beats } of all)
      if (this.heard.get(name)?.beats !== beats) this.heard.set(name, { beats, atMs: nowMs });
    return (seconds) => all.filter(({ name }) => nowMs - (this.heard.get(name)?.atMs ?? nowMs) >= seconds * 1000);
  }
}
