import { afterAll, expect, it } from '@jest/globals';
import { CONTAINER_FAILURE_REASONS, CONTAINER_REJECTION_REASONS, SUBJECTS } from '@plinth/contracts';
import { countFact, metricsRegistry } from '@plinth/service-kit';
import { measureFact } from './fact-metrics.js';
import { stateReadings } from './state-metrics.js';
import type { PresentState } from './state-metrics.store.js';

const TENANTS = 1_000;
const PHASES = { decide: 3, deliver: 2, premount: 3, mount: 14, runtime: 6 };

const text = (): Promise<string> => metricsRegistry.metrics();
const series = async (): Promise<string[]> => (await text()).split('\n').filter((line) => line.startsWith('plinth_'));

afterAll(() => metricsRegistry.clear());

function publish(subject: string, data: object): void {
  countFact({ subject, data });
  measureFact({ subject, data });
}

it('has as many series after the facts of a thousand tenants as after those of one', async () => {
  const factsOf = (n: number): void => {
    const fact = { containerId: String(n).padStart(32, '0'), name: `c-${n}`, tenant: `t-${n}`, host: `h-${n}` };
    publish(SUBJECTS.containerStarted, { ...fact, durationMs: 28, phases: PHASES });
    for (const reason of CONTAINER_FAILURE_REASONS) publish(SUBJECTS.containerFailed, { ...fact, reason });
    for (const reason of CONTAINER_REJECTION_REASONS)
      publish(SUBJECTS.containerRejected, { ...fact, operation: 'create', reason, requestId: `r-${n}` });
    publish(SUBJECTS.containerReverted, { ...fact, durationMs: 66 });
    publish(SUBJECTS.imageDistributed, { node: `n-${n}`, name: `i-${n}`, durationMs: 900, downloadedBytes: 10 });
    publish(`status.container.${fact.containerId}`, fact);
  };
  factsOf(0);
  const before = await series();
  for (let n = 1; n < TENANTS; n++) factsOf(n);
  const after = await series();
  expect(after).toHaveLength(before.length);
  expect(after).toContain(`plinth_container_start_seconds_count{phase="total"} ${TENANTS}`);
  expect(after).toContain(
    `plinth_requests_rejected_total{entity="container",operation="create",reason="no-capacity"} ${TENANTS}`,
  );
  expect(after).toContain(`plinth_facts_published_total{subject="container.reverted"} ${TENANTS}`);
  expect(after.filter((line) => /\{.*(?:[tchnir]-\d|0{8}).*\}/.test(line))).toEqual([]);
});

it('shows a bounded number of images, hosts and storage nodes of a large installation, and all of their sums', () => {
  const many = Array.from({ length: TENANTS }, (_, n) => n);
  const state: PresentState = {
    containers: [{ name: 'running', n: 10 }],
    images: many.map((n) => ({ name: `i-${n}@v1`, n: n + 1 })),
    rollouts: [],
    waits: [],
    members: [],
    hosts: [{ name: 'ready', n: TENANTS }],
    closedHosts: 1,
    storageNodes: [],
    rooms: many.map((n) => ({
      host: `h-${n}`,
      capacityMemory: 4,
      allocatedMemory: 3,
      usedMemory: 2,
      capacityCpus: 1,
      allocatedCpus: 1,
      load: 0.5,
      capacityContainers: 9,
      allocatedContainers: 8,
      running: 7,
    })),
    storage: many.map((n) => ({ node: `n-${n}`, total: 2, free: 1 })),
    intake: { n: 0, oldestSeconds: 0 },
  };
  const readings = stateReadings(state);
  const sizes = Object.fromEntries(Object.entries(readings).map(([name, samples]) => [name, samples.length]));
  expect(sizes).toMatchObject({
    plinth_containers: 8,
    plinth_image_containers: 51,
    plinth_hosts: 3,
    plinth_host_room: 501 * 9,
    plinth_storage_bytes: 201 * 2,
  });
  const sum = (samples: readonly { readonly value: number }[]): number =>
    samples.reduce((total, { value }) => total + value, 0);
  expect(sum(readings.plinth_image_containers)).toBe((TENANTS * (TENANTS + 1)) / 2);
  expect(sum(readings.plinth_storage_bytes)).toBe(3 * TENANTS);
});
