/** How reports of health change a container. */
import { describe, expect, it } from '@jest/globals';
import { type ContainerReport, type HealthState, SUBJECTS } from '@plinth/contracts';
import { type ContainerRecord, statusOf } from '../../containers/domain/container-record.js';
import { judgeReport } from './reports.js';

const FAILED = [{ at: '2026-06-01T00:00:00Z', message: 'exit code 1', output: 'no answer' }];
const record = (health: HealthState | null, more: Partial<ContainerRecord> = {}): ContainerRecord =>
  ({
    id: 'a'.repeat(32),
    state: 'running',
    config: { host: 'host-1', name: 'shop-1', image: 'debian-12@v1', desired: 'running' },
    pid: 7,
    restarts: 0,
    reportSequence: 10,
    message: null,
    knownGood: [],
    health,
    failedChecks: [],
    limitsReached: [],
    addresses: null,
    ...more,
  }) as unknown as ContainerRecord;
const report = (more: Partial<ContainerReport>): ContainerReport =>
  ({
    host: 'host-1',
    containerId: 'a'.repeat(32),
    generation: 3,
    sequence: 11,
    at: '2026-06-01T00:00:00Z',
    ...more,
  }) as ContainerReport;
const unhealthy = {
  kind: 'unhealthy',
  health: 'unhealthy',
  message: 'no',
  failedChecks: FAILED,
  willRestart: true,
} as const;

describe('a report of health', () => {
  it.each<[string, HealthState | null, Partial<ContainerReport>, HealthState | null, string | undefined]>([
    [
      'starting with the run',
      null,
      { kind: 'started', pid: 8, health: 'starting', phases: {} as never },
      'starting',
      SUBJECTS.containerStarted,
    ],
    ['none without a check', 'healthy', { kind: 'started', pid: 7 }, null, undefined],
    [
      'healthy for the first time',
      'starting',
      { kind: 'healthy', health: 'healthy' },
      'healthy',
      SUBJECTS.containerHealthy,
    ],
    ['unhealthy', 'healthy', unhealthy, 'unhealthy', SUBJECTS.containerUnhealthy],
    ['unhealthy, reported again', 'unhealthy', unhealthy, 'unhealthy', undefined],
    [
      'what the bus has lost',
      'healthy',
      { kind: 'started', pid: 7, health: 'unhealthy' },
      'unhealthy',
      SUBJECTS.containerUnhealthy,
    ],
    [
      'the present run, reported again',
      'healthy',
      { kind: 'started', pid: 7, health: 'healthy' },
      'healthy',
      undefined,
    ],
    ['kept while it is being stopped', 'unhealthy', { kind: 'stopping' }, 'unhealthy', undefined],
    [
      'none after its end',
      'unhealthy',
      { kind: 'stopped', cause: 'unhealthy', retryInMs: 1_000 },
      null,
      SUBJECTS.containerStopped,
    ],
    ['none after a failure', 'unhealthy', { kind: 'failed' }, null, SUBJECTS.containerFailed],
  ])('%s', (_what, before, reported, after, subject) => {
    const effect = judgeReport(record(before), report(reported), 'host-1', 'r');
    expect(effect).toMatchObject({ take: true, record: { health: after } });
    expect(effect.take && effect.fact?.subject).toBe(subject);
  });

  it('that is late changes nothing', () =>
    expect(judgeReport(record('healthy'), report({ ...unhealthy, sequence: 10 }), 'host-1', 'r')).toEqual({
      take: false,
      reason: 'stale',
    }));

  it('of another host is not accepted', () =>
    expect(judgeReport(record('healthy'), report(unhealthy), 'host-2', 'r')).toEqual({
      take: false,
      reason: 'foreign-host',
    }));

  it('gives the cause in the fact, and the health in the status', () => {
    const effect = judgeReport(record('healthy'), report(unhealthy), 'host-1', 'r');
    if (!effect.take) throw new Error('not taken');
    expect(effect.fact?.data).toMatchObject({ name: 'shop-1', message: 'no', failedChecks: FAILED, willRestart: true });
    expect(effect.record).toMatchObject({ state: 'running', pid: 7, message: 'no', failedChecks: FAILED });
    expect(statusOf(effect.record).health).toBe('unhealthy');
  });

  it('is over with its cause when it is healthy again, which is kept for people', () => {
    const before = record('unhealthy', { message: 'no', failedChecks: FAILED });
    const effect = judgeReport(before, report({ kind: 'healthy', health: 'healthy' }), 'host-1', 'r');
    expect(effect).toMatchObject({
      fact: { data: { from: 'unhealthy' } },
      record: { message: null, failedChecks: FAILED },
    });
  });

  it('is not shown of a container whose host is lost', () =>
    expect(statusOf(record('healthy', { state: 'lost' })).health).toBeNull());
});
