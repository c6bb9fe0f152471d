/** Which containers the harness has ended, and when; every other end has no cause. */

export interface StoppedFact {
  readonly subject: string;
  /** When the end was decided upon, RFC 3339. */
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * The next agent reports an end at the latest, and so does each agent that starts while the container waits for its
 * next start. A lost host is back after a minute, its agent may be cut off from the bus for another, and on a busy
 * machine each service takes a minute to start again.
 */
const REPORTED_WITHIN_MS = 300_000;
const MOST_LINES = 5;

export class CausedEnds {
  private readonly times = new Map<string, number[]>();

  /** @param atMs milliseconds since the epoch */
  add(containerId: string, atMs = Date.now()): void {
    this.times.set(containerId, [...(this.times.get(containerId) ?? []), atMs]);
  }

  /** One end explains the reports of that end, not every later end of the container. */
  explains(containerId: string, reportedAtMs: number): boolean {
    return (this.times.get(containerId) ?? []).some(
      (atMs) => atMs <= reportedAtMs && reportedAtMs - atMs <= REPORTED_WITHIN_MS,
    );
  }
}

/** Containers go on when services fail. @returns one line per violation */
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
      const code = data['exitCode'] === undefined ? 'exit code unknown' : `exit code ${String(data['exitCode'])}`;
      return (
        `a container ended without a cause: ${String(data['name'])} ${String(data['containerId'])} on ` +
        `${String(data['host'])}, generation ${String(data['generation'])}, ${code}, ${time}`
      );
    });
}
