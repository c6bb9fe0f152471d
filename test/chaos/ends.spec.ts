import { describe, expect, it } from '@jest/globals';
import { CausedEnds, endsWithoutCause } from './ends.js';

const KILLED_MS = Date.parse('2026-01-01T12:00:00Z');
const stopped = (containerId: string, afterMs: number, cause = 'exited') => ({
  subject: 'container.stopped',
  time: new Date(KILLED_MS + afterMs).toISOString(),
  data: { containerId, name: 'c-1', host: 'host-1', generation: 2, exitCode: 137, cause },
});

describe('an end that the harness has caused', () => {
  const ends = new CausedEnds();
  ends.add('killed', KILLED_MS);

  it.each([
    ['is explained', stopped('killed', 0), true],
    ['is explained when a host that was lost for a minute reports it', stopped('killed', 110_000), true],
    ['does not explain an end before it', stopped('killed', -1), false],
    ['does not explain an end long after it', stopped('killed', 300_001), false],
    ["does not explain another container's end", stopped('other', 0), false],
    ['is not needed for an end that was asked for', stopped('other', 0, 'requested'), true],
  ])('%s', (_what, fact, isExplained) => {
    expect(endsWithoutCause([fact], ends)).toHaveLength(isExplained ? 0 : 1);
  });

  it('is reported with everything that identifies the run', () => {
    expect(endsWithoutCause([stopped('other', 0)], ends)).toEqual([
      'a container ended without a cause: c-1 other on host-1, generation 2, exit code 137, 2026-01-01T12:00:00.000Z',
    ]);
  });
});
