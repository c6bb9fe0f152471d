import { describe, expect, it } from '@jest/globals';
import type { ContainerConfig, ContainerReport } from '@plinth/contracts';
import type { ContainerRecord } from '../../containers/domain/container-record.js';
import { judgeReport } from './reports.js';

const HOST = 'host-1';
const record = (overrides: Partial<ContainerRecord> = {}): ContainerRecord =>
  ({
    id: 'a',
    state: 'running',
    config: { host: HOST, desired: 'running', generation: 3, image: 'tiny@v1' } as ContainerConfig,
    pid: 7,
    restarts: 0,
    reportSequence: 40,
    ...overrides,
  }) as ContainerRecord;
const ended = (overrides: Partial<ContainerReport> = {}): ContainerReport =>
  ({
    host: HOST,
    containerId: 'a',
    kind: 'stopped',
    cause: 'exited',
    generation: 1,
    sequence: 41,
    at: '2026-01-01T12:00:00Z',
    ...overrides,
  }) as ContainerReport;

describe('a report', () => {
  it.each<[string, ContainerRecord, ContainerReport, string, string]>([
    ['of a newer number is taken', record(), ended(), HOST, 'container.stopped'],
    ['of the last number is stale', record(), ended({ sequence: 40 }), HOST, 'stale'],
    ['of an older number is stale, of any kind', record(), ended({ sequence: 1 }), HOST, 'stale'],
    ['waits for the one before it', record(), ended({ sequence: 43, after: 42 }), HOST, 'early'],
    ["under another host's name is foreign", record(), ended(), 'host-2', 'foreign-host'],
    ['of a removal that was not asked for is impossible', record(), ended({ kind: 'removed' }), HOST, 'impossible'],
    ['of a removed container is impossible', record({ state: 'removed' }), ended(), HOST, 'impossible'],
    // There is no earlier number to compare with: a host's first report is never stale.
    [
      'that is the first of its host is taken, with any number',
      record({ state: 'scheduled', pid: null, reportSequence: 0 }),
      ended({ sequence: 1 }),
      HOST,
      'container.stopped',
    ],
  ])('%s', (_what, before, report, writer, expected) => {
    const effect = judgeReport(before, report, writer, 'request');
    expect(effect.take ? effect.fact?.subject : effect.reason).toBe(expected);
  });
});
