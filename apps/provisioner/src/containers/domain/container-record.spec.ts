import { describe, expect, it } from '@jest/globals';
import type { ContainerConfig, ContainerReport } from '@plinth/contracts';
import { afterReport, type ContainerRecord, statusOf } from './container-record.js';

const record = (runningImage: string | null): ContainerRecord =>
  ({ config: { image: 'debian-12@v2' } as ContainerConfig, runningImage }) as ContainerRecord;
const after = (before: string | null, report: Partial<ContainerReport>): string | null =>
  afterReport(record(before), report as ContainerReport, 'running').runningImage;

describe('the image that a host runs a container on', () => {
  it.each<[string, string | null, Partial<ContainerReport>, string | null]>([
    ['is the one that the report names', null, { kind: 'started', image: 'debian-12@v1' }, 'debian-12@v1'],
    ["is the config's, when the report names none", null, { kind: 'started' }, 'debian-12@v2'],
    ['stays while it is being stopped', 'debian-12@v1', { kind: 'stopping' }, 'debian-12@v1'],
    [
      'stays when it ended and starts again by itself',
      'debian-12@v1',
      { kind: 'stopped', retryInMs: 100 },
      'debian-12@v1',
    ],
    ['stays when it failed and is tried again', 'debian-12@v1', { kind: 'failed', retryInMs: 100 }, 'debian-12@v1'],
    ['stays over a verdict', 'debian-12@v1', { kind: 'update-refused' }, 'debian-12@v1'],
    ['is none when it ended for good', 'debian-12@v1', { kind: 'stopped' }, null],
    ['is none when it failed for good', 'debian-12@v1', { kind: 'failed' }, null],
    ['is none when it is gone', 'debian-12@v1', { kind: 'removed' }, null],
  ])('%s', (_what, before, report, expected) => expect(after(before, report)).toBe(expected));
});

describe('addresses that a network of CNI gave', () => {
  const config = { address: { ipv4: '10.64.0.7', ipv6: 'fd00::7' } } as ContainerConfig;
  const before = { config, runningImage: null, addresses: null, knownGood: [] } as unknown as ContainerRecord;
  const report = (more: Partial<ContainerReport>): ContainerReport => more as ContainerReport;
  const started = afterReport(before, report({ kind: 'started', addresses: ['10.99.0.2'] }), 'running');

  it("are those of a run, in place of the config's", () => {
    expect(statusOf(before)).toMatchObject({ address: config.address, addresses: null });
    expect(statusOf(started)).toMatchObject({ address: null, addresses: ['10.99.0.2'] });
    expect(statusOf(afterReport(started, report({ kind: 'stopped' }), 'stopped'))).toMatchObject({
      address: null,
      addresses: [],
    });
  });

  it("end where the container is started in this system's network", () => {
    const elsewhere = afterReport(started, report({ kind: 'started' }), 'running');
    expect(statusOf(elsewhere)).toMatchObject({ address: config.address, addresses: null });
  });
});
