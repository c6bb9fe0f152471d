import { describe, expect, it } from '@jest/globals';
import { DISTRIBUTION_FAILURE_REASONS, type DistributionFailureReason } from '@plinth/contracts';
import { FRESH, mayHeal, planRetry } from './retry-plan.js';

const MAX = 60_000;
const MEGABYTES = 8 * 1024 ** 2;

/** The pauses when the same failure repeats, until there is no retry; at most ten. */
function pauses(reason: DistributionFailureReason, downloaded = 0): (number | 'given up')[] {
  const result: (number | 'given up')[] = [];
  for (let state = FRESH; result.length < 10;) {
    const plan = planRetry(reason, state, downloaded, MAX, 0);
    if (!plan.retry) return [...result, 'given up'];
    result.push(plan.delayMs);
    state = plan.state;
  }
  return result;
}

describe('planRetry', () => {
  it.each<[DistributionFailureReason, (number | 'given up')[]]>([
    ['repository-unreachable', [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]],
    ['download-stalled', [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]],
    ['no-space', [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]],
    ['io-error', [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]],
    ['digest-mismatch', [250, 500, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000]],
    ['repository-refused', [250, 500, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000]],
    ['wrong-size', [250, 500, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000]],
    ['bad-signature', [250, 500, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000]],
    ['unknown-key', [250, 500, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000]],
    ['bad-manifest', ['given up']],
    ['bad-archive', ['given up']],
    ['manifest-mismatch', ['given up']],
  ])('%s: %j', (reason, expected) => {
    expect(pauses(reason)).toEqual(expected);
  });

  it('knows every reason', () => {
    expect(DISTRIBUTION_FAILURE_REASONS.filter(mayHeal)).toHaveLength(9);
  });

  it('does not slow down a download with progress', () => {
    expect(pauses('repository-unreachable', MEGABYTES).slice(0, 3)).toEqual([250, 250, 250]);
  });

  it('counts strikes between other failures', () => {
    const state = { attempts: 9, stuck: 1, strikes: 2 };
    expect(planRetry('repository-unreachable', state, 0, MAX, 0)).toMatchObject({
      retry: true,
      state: { attempts: 10, strikes: 2 },
    });
    expect(planRetry('digest-mismatch', state, 0, MAX, 0)).toEqual({
      retry: true,
      delayMs: 60_000,
      state: { attempts: 10, stuck: 2, strikes: 3 },
    });
  });

  it('is only shortened by jitter, and never exceeds the limit', () => {
    const state = { attempts: 5_000, stuck: 5_000, strikes: 0 };
    expect(planRetry('no-space', state, 0, MAX, 0.999)).toMatchObject({ delayMs: 45_015 });
    expect(planRetry('no-space', state, 0, 250, 0)).toMatchObject({ delayMs: 250 });
  });
});
