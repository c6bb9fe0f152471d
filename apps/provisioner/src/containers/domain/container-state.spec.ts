import { describe, expect, it } from '@jest/globals';
import { CONTAINER_STATES } from '@plinth/contracts';
import { type ContainerEvent, eventOfReport, transition } from './container-state.js';

describe('the states of a container', () => {
  it.each([
    ['scheduled', 'started', 'running'],
    ['running', 'stop-requested', 'stopping'],
    ['stopping', 'stopped', 'stopped'],
    ['stopped', 'start-requested', 'scheduled'],
    ['running', 'restarting', 'starting'],
    ['running', 'host-lost', 'lost'],
    ['lost', 'started', 'running'],
    ['failed', 'start-requested', 'scheduled'],
    ['stopped', 'stop-requested', undefined],
    ['running', 'start-requested', undefined],
    ['stopped', 'host-lost', undefined],
  ] as const)('%s + %s → %s', (state, event, next) => expect(transition(state, event)).toBe(next));

  it('ends in removed, for good', () => {
    const events: ContainerEvent[] = [
      'starting',
      'started',
      'stopped',
      'failed',
      'host-lost',
      'start-requested',
      'remove-requested',
      'removed',
    ];
    for (const event of events) expect(transition('removed', event)).toBeUndefined();
    for (const state of CONTAINER_STATES) if (state !== 'removed') expect(transition(state, 'removed')).toBe('removed');
  });

  it('distinguishes a stop that is followed by a restart from a final one', () => {
    expect(eventOfReport('stopped', 1_000)).toBe('restarting');
    expect(eventOfReport('stopped', undefined)).toBe('stopped');
  });
});
