import {
  describe as text,
  dispose,
  MAX_DELIVERIES,
  type Outcome,
  PermanentError,
  retryDelay,
} from './delivery-policy.js';

const HANDLED: Outcome = { kind: 'handled' };
const INVALID: Outcome = { kind: 'invalid', problems: [{ path: 'name', message: 'is missing' }] };
const FAILED: Outcome = { kind: 'failed', error: new Error('the database is away') };
const PERMANENT: Outcome = { kind: 'failed', error: new PermanentError('this never works') };
const ODD: Outcome = { kind: 'failed', error: 'thrown text' };
const LAST = MAX_DELIVERIES;

describe('dispose', () => {
  it.each([
    { of: 'a handled message', outcome: HANDLED, attempt: 1, expected: { action: 'ack' } },
    { of: 'a handled message at its last delivery', outcome: HANDLED, attempt: LAST, expected: { action: 'ack' } },
    {
      of: 'a handled message beyond its last delivery',
      outcome: HANDLED,
      attempt: LAST + 1,
      expected: { action: 'ack' },
    },
    {
      of: 'an invalid message',
      outcome: INVALID,
      attempt: 1,
      expected: { action: 'dead-letter', reason: 'invalid', reject: true },
    },
    {
      of: 'an invalid message that came again',
      outcome: INVALID,
      attempt: LAST,
      expected: { action: 'dead-letter', reason: 'invalid', reject: true },
    },
    { of: 'a first failure', outcome: FAILED, attempt: 1, expected: { action: 'retry', delayMs: 250 } },
    { of: 'a later failure', outcome: FAILED, attempt: 4, expected: { action: 'retry', delayMs: 2_000 } },
    {
      of: 'the last failure but one',
      outcome: FAILED,
      attempt: LAST - 1,
      expected: { action: 'retry', delayMs: 16_000 },
    },
    {
      of: 'the last failure',
      outcome: FAILED,
      attempt: LAST,
      expected: { action: 'dead-letter', reason: 'failed 8 times: Error: the database is away', reject: true },
    },
    {
      of: 'a failure beyond the last delivery, whose handler was not called',
      outcome: FAILED,
      attempt: LAST + 1,
      expected: { action: 'dead-letter', reason: 'failed 9 times: Error: the database is away', reject: true },
    },
    {
      of: 'a permanent fault',
      outcome: PERMANENT,
      attempt: 1,
      expected: { action: 'dead-letter', reason: 'this never works', reject: false },
    },
    {
      of: 'a permanent fault at the last delivery',
      outcome: PERMANENT,
      attempt: LAST,
      expected: { action: 'dead-letter', reason: 'this never works', reject: false },
    },
    { of: 'something thrown that is no error', outcome: ODD, attempt: 1, expected: { action: 'retry', delayMs: 250 } },
    {
      of: 'something thrown that is no error, for the last time',
      outcome: ODD,
      attempt: LAST,
      expected: { action: 'dead-letter', reason: 'failed 8 times: thrown text', reject: true },
    },
  ])('$of: $expected.action', ({ outcome, attempt, expected }) => {
    expect(dispose(outcome, attempt, 0.5)).toEqual(expected);
  });
});

describe('retryDelay', () => {
  it('doubles from 250 ms up to 30 s', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 60].map((attempt) => retryDelay(attempt, 0.5))).toEqual([
      250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('spreads by a quarter to both sides', () => {
    expect([0, 0.5, 1].map((jitter) => retryDelay(3, jitter))).toEqual([750, 1_000, 1_250]);
  });
});

it('names an error with its kind', () => {
  expect([new PermanentError('no'), new TypeError('odd'), 7, undefined].map(text)).toEqual([
    'PermanentError: no',
    'TypeError: odd',
    '7',
    'undefined',
  ]);
});
