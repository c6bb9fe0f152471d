import { describe, expect, it } from '@jest/globals';
import type { ContainerStatus } from '@plinth/contracts';
import fc from 'fast-check';
import { containerAt } from '../testing/statuses.js';
import { type Entry, LiveState } from './live-state.js';
import { canResume, formatPosition, parsePosition, POSITION_VALID_MS } from './position.js';
import { changesFor } from './stream-message.js';

function entry(sequence: number, index: number, change: Partial<ContainerStatus> = {}): Entry<'containers'> {
  const value = containerAt(index, change);
  const gone = value.state === 'removed';
  return { topic: 'containers', key: value.id, sequence, value: gone ? null : value, ...(gone ? { was: value } : {}) };
}
const STAFF = { role: 'viewer', tenants: [] } as const;
const DEVELOPER = { role: 'developer', tenants: ['acme'] } as const;

describe('the present state', () => {
  it('merges to the last values whatever the order of looks, and a reader ends up with what is there', () => {
    const step = fc.record({
      index: fc.nat(5),
      state: fc.constantFrom('running', 'failed', 'removed'),
      look: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const state = new LiveState();
        const seen = new Map<string, string>();
        let position = 0;
        const look = (): void => {
          const { put, gone } = changesFor(STAFF, ['containers'], state.changesSince(position)) ?? {
            put: {},
            gone: {},
          };
          for (const value of (put.containers ?? []) as ContainerStatus[]) seen.set(value.id, value.state);
          for (const id of gone.containers ?? []) seen.delete(id);
          position = state.sequence;
        };
        for (const [at, { index, state: now, look: isLook }] of steps.entries()) {
          state.put(entry(at + 1, index, { state: now as ContainerStatus['state'] }));
          if (isLook) look();
        }
        look();
        const present = new Map(state.all('containers').map(({ id, state: now }) => [id, now]));
        expect(seen).toEqual(present);
        expect(
          state
            .containers()
            .map(({ value }) => value?.id)
            .sort(),
        ).toEqual([...present.keys()].sort());
      }),
    );
  });

  it('keeps the newer of two values, whichever comes first', () => {
    const state = new LiveState();
    expect(state.put(entry(2, 0, { state: 'failed' }))).toBe(true);
    expect(state.put(entry(1, 0, { state: 'running' }))).toBe(false);
    expect(state.all('containers')[0]?.state).toBe('failed');
  });

  it('sends everything again when something vanished while the bus was away', () => {
    const state = new LiveState();
    state.put(entry(1, 0));
    state.put(entry(2, 1));
    const { resets } = state;
    state.beginPass();
    state.put(entry(2, 1));
    state.endPass();
    expect(state.resets).toBe(resets + 1);
    expect(state.all('containers')).toHaveLength(1);
  });

  it('sends nothing again when all came again', () => {
    const state = new LiveState();
    state.put(entry(1, 0));
    const { resets } = state;
    state.beginPass();
    state.put(entry(1, 0));
    state.endPass();
    expect(state.resets).toBe(resets);
    expect(state.changesSince(0)).toHaveLength(1);
  });

  it('knows from where on it does not know all that is gone', () => {
    const state = new LiveState();
    for (let index = 0; index < 20_001; index++) state.put(entry(index + 1, index, { state: 'removed' }));
    expect(state.floor).toBe(10_000);
    const now = { epoch: '00000000', sequence: state.sequence, at: 0 };
    expect(canResume({ ...now, sequence: 9_999 }, now, state.floor)).toBe(false);
    expect(canResume({ ...now, sequence: 10_000 }, now, state.floor)).toBe(true);
  });
});

describe('changes of a developer', () => {
  it('have nothing of other tenants, not even an id that is gone', () => {
    const entries = [
      entry(1, 0, { tenant: 'acme' }),
      entry(2, 1, { tenant: 'zeta' }),
      entry(3, 2, { tenant: 'acme', state: 'removed' }),
      entry(4, 3, { tenant: 'zeta', state: 'removed' }),
    ];
    expect(changesFor(DEVELOPER, ['containers'], entries)).toEqual({
      put: { containers: [entries[0]?.value] },
      gone: { containers: [entries[2]?.key] },
    });
    expect(changesFor(DEVELOPER, ['containers'], entries.slice(3))).toBeUndefined();
  });
});

describe('a position', () => {
  const now = { epoch: 'a1b2c3d4', sequence: 100, at: 10 * POSITION_VALID_MS };

  it.each([
    ['is the present one', formatPosition(now), true],
    ['is older', 'a1b2c3d4-5-36000000', true],
    ['is of another stream', 'b1b2c3d4-5-36000000', false],
    ['is ahead', 'a1b2c3d4-101-36000000', false],
    ['is too old', 'a1b2c3d4-5-32400000', false],
    ['is none', 'a1b2c3d4-5', false],
    ['is hostile', 'a1b2c3d4--5-1e9\nid: 1', false],
  ])('that %s leads on: %s %s', (_, text, leads) => {
    expect(canResume(parsePosition(text), now, 0)).toBe(leads);
  });
});
