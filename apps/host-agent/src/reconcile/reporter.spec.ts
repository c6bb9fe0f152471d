import { expect, it } from '@jest/globals';
import type { ContainerReport } from '@plinth/contracts';
import { createLogger, type EventPublisher } from '@plinth/service-kit';
import type { ReportJournal } from '../adapters/report-journal.js';
import { Reporter } from './reporter.js';

const report = (sequence: number): ContainerReport =>
  ({ host: 'host-1', containerId: 'a'.repeat(32), kind: 'starting', generation: 1, sequence }) as ContainerReport;

it('publishes the reports behind one whose file can not be removed', async () => {
  const published: number[] = [];
  const journal = {
    add: () => Promise.resolve(),
    remove: ({ report: { sequence } }: { report: ContainerReport }) =>
      sequence === 1 ? Promise.reject(new Error('EIO')) : Promise.resolve(),
  } as unknown as ReportJournal;
  const reporter = new Reporter('host-1', journal, createLogger('host-agent', 'test', 'fatal'));
  for (const sequence of [1, 2]) await reporter.send(report(sequence));
  reporter.attach({
    publish: ({ data }: { data: ContainerReport }) => Promise.resolve(void published.push(data.sequence)),
  } as unknown as EventPublisher);
  await reporter.close(60_000);
  expect(published).toEqual([1, 2]);
});
