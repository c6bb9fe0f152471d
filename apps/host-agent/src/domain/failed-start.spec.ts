import { describe, expect, it } from '@jest/globals';
import { planAfterFailure } from './failed-start.js';
import { emptyRecord, type LocalRecord } from './local-record.js';
import type { PlanInput } from './plan-input.js';
import { plan } from './planner.js';
import { containerConfig } from '../testing/container-config.js';

const NOW = Date.UTC(2026, 5, 1);
const NEVER = emptyRecord('boot-1');
const ENDED: LocalRecord = {
  ...NEVER,
  attemptedGeneration: 3,
  attemptedRunGeneration: 2,
  starts: 1,
  startedAtMs: NOW - 5_000,
  volumeMade: true,
  announced: { kind: 'started', generation: 3, pid: 7 },
  lastExit: { run: 1, exitCode: 1, atMs: NOW },
};

const input = (overrides: Partial<PlanInput>): PlanInput => ({
  config: containerConfig(),
  observed: { kind: 'absent' },
  record: NEVER,
  nowMs: NOW,
  ...overrides,
});

describe('planAfterFailure', () => {
  it('closes a run that was counted before its start failed: it was killed and did not end by itself', () => {
    // The first process ran, and no report of it could be written: the disk is full.
    const counted = { ...ENDED, starts: 2 };
    const [deleted, remembered] = planAfterFailure(
      input({ observed: { kind: 'running', pid: 7, startedAtMs: NOW - 5_000, runGeneration: 2 }, record: counted }),
      {
        reason: 'no-space',
        message: 'no space left on device',
      },
    );
    expect(deleted).toEqual({ kind: 'delete-runtime' });
    const record = { ...counted, ...(remembered?.kind === 'remember' ? remembered.change : {}) };
    expect(plan(input({ record })).map(({ kind }) => kind)).toEqual(['wait-until']);
  });

  it('tries again after a failure that may heal', () => {
    const steps = planAfterFailure(input({ record: { ...NEVER, failedStartsInRow: 3 } }), {
      reason: 'image-missing',
      message: 'gone',
    });
    expect(steps[1]).toMatchObject({
      change: { failedStartsInRow: 4, retryAtMs: NOW + 8_000, attemptedGeneration: 3 },
    });
    expect(steps[2]).toMatchObject({ report: { kind: 'failed', reason: 'image-missing', retryInMs: 8_000 } });
  });

  it('does not try again after a permanent failure', () => {
    const steps = planAfterFailure(input({}), { reason: 'command-not-found', message: 'no' });
    expect(steps[1]).toMatchObject({ change: { settled: { by: 'start-failure', generation: 3 } } });
    expect(steps[2]).toHaveProperty('report.retryInMs', undefined);
  });
});
