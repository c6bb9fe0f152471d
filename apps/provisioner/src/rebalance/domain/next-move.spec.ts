import { describe, expect, it } from '@jest/globals';
import { judgeMove, MOVE_DEADLINE_SECONDS, type MovedContainer, nextStep, type OpenMove } from './next-move.js';
import { type Standing, whyItStays } from './immovable.js';

const CONTAINER: MovedContainer = {
  state: 'running',
  desired: 'running',
  host: 'b',
  group: null,
  isMoving: false,
  isReleased: false,
  hasCheck: false,
  health: null,
  message: null,
};

const open = (ordinal: number, phase: OpenMove['phase'], container: Partial<MovedContainer> | null = {}): OpenMove => ({
  ordinal,
  phase,
  message: null,
  ageSeconds: 1,
  container: container && { ...CONTAINER, ...container },
  move: {
    containerId: String(ordinal).repeat(32),
    name: `c-${ordinal}`,
    tenant: 'acme',
    from: 'a',
    to: 'b',
    memoryBytes: 1,
    isRunning: true,
    reason: 'balance',
    why: '',
  },
});

describe('a move that was begun', () => {
  it.each<[string, Partial<MovedContainer> | null, string, RegExp]>([
    ['runs', {}, 'moved', /^$/],
    ['runs elsewhere', { host: 'c' }, 'moved', /it came to c: b was lost/],
    ['has a check, and no result yet', { hasCheck: true }, 'moving', /not healthy yet/],
    ['is checked', { hasCheck: true, health: 'starting' }, 'moving', /not healthy yet/],
    ['is healthy', { hasCheck: true, health: 'healthy' }, 'moved', /^$/],
    ['is not healthy', { hasCheck: true, health: 'unhealthy' }, 'failed', /not healthy on b/],
    ['stops', { isMoving: true, host: 'a', state: 'stopping' }, 'moving', /stops on a/],
    ['has no host', { isMoving: true, isReleased: true, message: 'no room' }, 'moving', /waits for a host: no room/],
    ['starts', { state: 'starting' }, 'moving', /starts on b/],
    ['failed', { state: 'failed', message: 'no such file' }, 'failed', /failed on b: no such file/],
    ['was stopped by its user', { state: 'stopped', desired: 'stopped' }, 'moved', /^$/],
    ['is lost', { state: 'lost' }, 'failed', /host b is lost/],
    ['is being removed', { desired: 'removed' }, 'skipped', /removed meanwhile/],
    ['is gone', null, 'skipped', /removed meanwhile/],
    ['is where it was', { host: 'a' }, 'failed', /still on a/],
  ])('of a container that %s', (_what, container, phase, message) => {
    const judged = judgeMove(open(1, 'moving', container));
    expect(judged.phase).toBe(phase);
    expect(judged.message ?? '').toMatch(message);
  });

  it('has failed after its time', () =>
    expect(judgeMove({ ...open(1, 'moving', { state: 'starting' }), ageSeconds: MOVE_DEADLINE_SECONDS })).toEqual({
      phase: 'failed',
      message: 'it was not up on b within 10 minutes; it starts on b',
    }));
});

describe('next', () => {
  const PROGRESS = { state: 'running', atOnce: 2, maxFailures: 3, failedInRow: 0, lastFailure: null } as const;
  const ofGroup = { group: 'web' };
  it.each<[string, Partial<Parameters<typeof nextStep>[0]>, readonly OpenMove[], object]>([
    ['the first is begun', {}, [open(1, 'pending'), open(2, 'pending')], { kind: 'begin', busy: [] }],
    ['no more than allowed are begun', { atOnce: 1 }, [open(1, 'moving'), open(2, 'pending')], { kind: 'wait' }],
    [
      'of a group one',
      {},
      [open(1, 'moving', ofGroup), open(2, 'pending', ofGroup), open(3, 'pending')],
      { kind: 'begin', busy: ['acme/web'] },
    ],
    ['what is in progress ends', {}, [open(1, 'moving')], { kind: 'wait' }],
    ['it is completed', {}, [], { kind: 'end', state: 'completed' }],
    [
      'a cancelled one begins nothing',
      { state: 'cancelling' },
      [open(1, 'moving'), open(2, 'pending')],
      { kind: 'wait' },
    ],
    ['it is cancelled', { state: 'cancelling' }, [open(2, 'pending')], { kind: 'end', state: 'cancelled' }],
    [
      'it stops after failures in a row',
      { failedInRow: 3, lastFailure: 'c-1: it failed' },
      [open(2, 'pending')],
      { kind: 'end', state: 'stopped', message: '3 moves in a row failed, the last one: c-1: it failed' },
    ],
    [
      'failures wait for what is in progress',
      { failedInRow: 3 },
      [open(1, 'moving'), open(2, 'pending')],
      { kind: 'wait' },
    ],
  ])('%s', (_what, progress, moves, step) => {
    const of = (phase: OpenMove['phase']): OpenMove[] => moves.filter((move) => move.phase === phase);
    expect(nextStep({ ...PROGRESS, ...progress }, of('moving'), of('pending').length > 0)).toMatchObject(step);
  });
});

describe('a container', () => {
  const STANDING: Standing = {
    state: 'running',
    desired: 'running',
    health: null,
    restart: 'always',
    update: null,
    isInRollout: false,
    isMoving: false,
    movedAt: null,
    isImageServed: true,
  };
  it.each<[string, Partial<Standing>, ReturnType<typeof whyItStays>]>([
    ['that runs may move', {}, undefined],
    ['that is healthy may move', { health: 'healthy' }, undefined],
    ['that is stopped for good may move', { state: 'stopped', desired: 'stopped', restart: 'never' }, undefined],
    ['that was moved long ago may move', { movedAt: 8_000 }, undefined],
    ['whose update has ended may move', { update: 'reverted' }, undefined],
    ['that is moving stays', { isMoving: true }, 'moving'],
    ['that starts stays', { state: 'starting' }, 'unsettled'],
    ['that failed stays', { state: 'failed' }, 'unsettled'],
    ['that is being stopped stays', { desired: 'stopped' }, 'unsettled'],
    ['that is lost stays', { state: 'lost' }, 'unsettled'],
    ['that is not healthy stays', { health: 'unhealthy' }, 'unhealthy'],
    ['that is not healthy yet stays', { health: 'starting' }, 'unhealthy'],
    ['that runs once stays', { restart: 'never' }, 'job'],
    ['that may end stays', { restart: 'on-failure' }, 'job'],
    ['on trial stays', { update: 'switching' }, 'update'],
    ['that goes back to its image stays', { update: 'reverting' }, 'update'],
    ['in a rollout stays', { isInRollout: true }, 'rollout'],
    ['that was moved just now stays', { movedAt: 8_001 }, 'moved-recently'],
    ['whose image was revoked stays', { isImageServed: false }, 'image-withdrawn'],
  ])('%s', (_what, over, reason) => expect(whyItStays({ ...STANDING, ...over }, 10_000, 2_000)).toBe(reason));
});
