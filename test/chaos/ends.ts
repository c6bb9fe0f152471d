/** Which containers the harness has ended, and when; every other end is one without a cause. */

export interface StoppedFact {
  readonly subject: string;
  /** When the end was decided upon, RFC 3339. */
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * An end is reported by the next agent at the latest, and again by each that begins while the container waits for its next start. A host that is lost is back
 * after a minute, its agent may be cut off from the bus for another, and on a busy machine each service takes a minute to be there again.
 */
const REPORTED_WITHIN_MS = 300_000;
const MOST_LINES = 5;

export class CausedEnds {
  private readonly times = new Map<string, number[]>();

  /** @param atMs milliseconds since the epoch */
  add(containerId: string, atMs = Date.now()): void {
    this.times.set(containerId, [...(this.times.get(containerId) ?? []), atMs]);
  }

  /** One end excuses what is reported of it, not whatever happens to the container for ever after. */
  explains(containerId: string, reportedAtMs: number): boolean {
    return (this.times.get(containerId) ?? []).some(
      (atMs) => atMs <= reportedAtMs && reportedAtMs - atMs <= REPORTED_WITHIN_MS,
    );
  }
}

/** Whatever happens to services, containers go on. @returns one line per violation */
export function endsWithoutCause(facts: readonly StoppedFact[], ends: CausedEnds): string[] {
  return facts
    .filter(
      ({ subject, time, data }) =>
        subject === 'container.stopped' &&
        data['cause'] === 'exited' &&
        !ends.explains(String(data['containerId']), Date.parse(time)),
    )
    .slice(0, MOST_LINES)
    .map(({ time, data }) => {
      const code = data['exitCode'] === undefined ? 'nobody saw how' : `exit code ${String(data['exitCode'])}`;
      return `a container ended that nobody has ended: ${String(data['name'])} ${String(data['containerId'])} on ${String(data['host'])}, generation ${String(data['generation'])}, ${code}, ${time}`;
    });
}
