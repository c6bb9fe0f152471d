import { describe, expect, it } from '@jest/globals';
import type { RestartPolicy } from '@plinth/contracts';
import { backoffMs, HEALTHY_AFTER_MS, judgeExit, mayHeal, type Verdict } from './restart-policy.js';

it('doubles from a second to a minute', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 1000].map(backoffMs)).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000,
  ]);
});

describe('judgeExit', () => {
  const restart = (delayMs: number, restartsInRow: number): Verdict => ({ kind: 'restart', delayMs, restartsInRow });
  it.each<[RestartPolicy, number | undefined, number, number, Verdict]>([
    [{ policy: 'always' }, 0, 100, 0, restart(1_000, 1)],
    [{ policy: 'always' }, 137, 100, 6, restart(60_000, 7)],
    [{ policy: 'always' }, 1, HEALTHY_AFTER_MS, 6, restart(1_000, 1)],
    [{ policy: 'always', maxRetries: 0 }, 0, 100, 0, { kind: 'failed', reason: 'crash-loop' }],
    [{ policy: 'always', maxRetries: 2 }, 1, 100, 1, restart(2_000, 2)],
    [{ policy: 'always', maxRetries: 2 }, 1, 100, 2, { kind: 'failed', reason: 'crash-loop' }],
    [{ policy: 'always', maxRetries: 2 }, 1, HEALTHY_AFTER_MS, 2, restart(1_000, 1)],
    [{ policy: 'on-failure' }, 0, 100, 0, { kind: 'finished' }],
    [{ policy: 'on-failure' }, undefined, 100, 0, restart(1_000, 1)],
    [{ policy: 'never' }, 0, 100, 0, { kind: 'finished' }],
    [{ policy: 'never' }, 3, 100, 0, { kind: 'failed', reason: 'exited' }],
    [{ policy: 'never' }, undefined, 100, 0, { kind: 'failed', reason: 'exited' }],
  ])('%j, exit code %p after %d ms, %d before', (policy, exitCode, upMs, before, expected) => {
    expect(judgeExit(policy, exitCode, upMs, before)).toEqual(expected);
  });
});

it('knows which failures may heal', () => {
  expect(mayHeal('image-missing')).toBe(true);
  expect(mayHeal('command-not-found')).toBe(false);
});
