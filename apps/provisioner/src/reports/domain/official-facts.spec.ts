import { describe, expect, it } from '@jest/globals';
import {
  CONTAINER_REPORT_KINDS,
  containerStatus,
  type ContainerReport,
  contractFor,
  decodePayload,
  MAX_MESSAGE,
} from '@plinth/contracts';
import { type ContainerRecord, statusOf } from '../../containers/domain/container-record.js';
import { judgeReport } from './reports.js';

const id = 'a'.repeat(32);
const digest = `sha256:${'b'.repeat(64)}`;
const at = '2026-01-02T03:04:05.000Z';

/** A report with the longest texts that its contract allows. */
const reportOf = (kind: ContainerReport['kind']): ContainerReport => ({
  kind,
  host: 'h-1',
  containerId: id,
  generation: 2,
  sequence: 2,
  at,
  message: 'm'.repeat(MAX_MESSAGE),
  logTail: 'l'.repeat(16_384),
  checkOutput: 'o'.repeat(4000),
  updateId: id,
  health: kind === 'healthy' || kind === 'unhealthy' ? kind : undefined,
  failedChecks: Array.from({ length: 5 }, () => ({ at, message: 'm'.repeat(500), output: 'o'.repeat(1000) })),
  reached: { limit: 'memory', value: 2 ** 28, count: 3, since: at, at },
  pid: 7,
  phases: { premount: 1, mount: 1, runtime: 1 },
});

const recordFor = (kind: ContainerReport['kind']): ContainerRecord => ({
  id,
  state: 'running',
  config: {
    containerId: id,
    name: 'shop',
    tenant: 'default',
    host: 'h-1',
    generation: 2,
    runGeneration: 1,
    desired: kind === 'removed' ? 'removed' : kind === 'released' ? 'released' : 'running',
    image: 'debian-12@v2',
    contentDigest: digest,
    storageNode: 'sn-1',
    dataVolume: id,
    env: {},
    limits: { memoryBytes: 2 ** 28, cpus: 1, pids: 100 },
    restart: { policy: 'always' },
    network: 'isolated',
    stopGraceSeconds: 10,
    requestedAt: at,
    decidedAt: at,
  },
  pid: 6,
  restarts: 0,
  exitCode: null,
  message: null,
  reportSequence: 1,
  requestedAt: at,
  startedAt: at,
  knownGood: [],
  update: {
    updateId: id,
    rolloutId: null,
    state: 'switching',
    from: 'debian-12@v1',
    to: 'debian-12@v2',
    reason: null,
    message: null,
    at,
  },
  runningImage: 'debian-12@v1',
  moving: null,
  health: null,
  failedChecks: [],
  limitsReached: [],
  addresses: null,
});

const problemsOf = (subject: string, data: object): unknown => {
  const contract = contractFor(subject);
  const decoded = contract && decodePayload(contract.payload, Buffer.from(JSON.stringify(data)));
  return decoded?.ok === false ? decoded.problems : [];
};

describe('of a limit that was reached', () => {
  const reached = (limit: 'memory' | 'disk', count: number) => ({ limit, value: 1, count, since: at, at });
  const report = (sequence: number, what: ReturnType<typeof reached>): ContainerReport => ({
    kind: 'limited',
    host: 'h-1',
    containerId: id,
    generation: 2,
    sequence,
    at,
    reached: what,
  });

  it('there is a fact, and the status keeps the last of each limit and everything else', () => {
    let record: ContainerRecord = { ...recordFor('limited'), health: 'healthy' };
    const facts = [reached('memory', 1), reached('disk', 1), reached('memory', 5)].map((what, at) => {
      const effect = judgeReport(record, report(at + 2, what), 'h-1', id);
      if (!effect.take) throw new Error(effect.reason);
      record = effect.record;
      return effect.fact;
    });
    expect(facts.map((fact) => fact?.subject)).toEqual(Array(3).fill('container.limited'));
    expect(facts[2]?.data).toMatchObject({ containerId: id, reached: reached('memory', 5) });
    expect(statusOf(record)).toMatchObject({
      state: 'running',
      pid: 6,
      health: 'healthy',
      limitsReached: [reached('disk', 1), reached('memory', 5)],
    });
  });
});

describe('of a report with the longest texts that its contract allows', () => {
  it.each(CONTAINER_REPORT_KINDS)('%s: fact and status keep their contracts', (kind) => {
    const effect = judgeReport(recordFor(kind), reportOf(kind), 'h-1', 'r'.repeat(200));
    if (!effect.take) throw new Error(`not taken: ${effect.reason}`);
    if (effect.fact) expect(problemsOf(effect.fact.subject, effect.fact.data)).toEqual([]);
    expect(problemsOf(containerStatus(id), statusOf(effect.record))).toEqual([]);
  });
});
