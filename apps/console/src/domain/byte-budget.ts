/** So many bytes a second, and some at once after a pause. Pure. */
export class ByteBudget {
  private left: number;
  private at: number | undefined;

  constructor(
    private readonly bytesPerSecond: number,
    private readonly atOnce: number,
  ) {
    this.left = atOnce;
  }

  /** @param nowMs of a clock that never goes back @returns milliseconds to wait after these bytes */
  spend(bytes: number, nowMs: number): number {
    const since = nowMs - (this.at ?? nowMs);
    this.at = nowMs;
    this.left = Math.min(this.atOnce, this.left + (since * this.bytesPerSecond) / 1_000) - bytes;
    return this.left >= 0 ? 0 : (-this.left * 1_000) / this.bytesPerSecond;
  }
}
