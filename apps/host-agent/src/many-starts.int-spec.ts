/** Many containers at once. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { agentStats, type ContainerStats, type QueryReply } from '@plinth/contracts';
import { AgentBench, leftovers } from './testing/agent-bench.js';

let bench: AgentBench;

beforeAll(async () => {
  bench = await AgentBench.open();
  await bench.installImage('v1');
  bench.startAgent();
});

afterAll(() => bench.close());

it('starts and removes them all', async () => {
  const configs = Array.from({ length: 30 }, (_, index) =>
    bench.config({ name: `many-${index}`, tenant: index % 3 === 0 ? 'one' : 'two' }),
  );
  await Promise.all(configs.map((config) => bench.publishConfig(config)));
  await Promise.all(configs.map((config) => bench.report(config.containerId, 'started')));
  const stats = await bench.connection.request(agentStats(bench.host), '{}', { timeout: 60_000 });
  const reply = stats.json<QueryReply<ContainerStats[]>>();
  const one = reply.ok ? reply.data.find(({ containerId }) => containerId === configs[0]?.containerId) : undefined;
  expect(one).toMatchObject({ processes: 1 });
  expect(one?.sharedBytes).toBeGreaterThan(0);
  expect(one?.cgroupBytes).toBeGreaterThan(0);
  expect(one?.mounts.find(({ target }) => target === '/')).toMatchObject({ readOnly: true });
  await Promise.all(
    configs.map((config) => bench.publishConfig({ ...config, generation: 2, desired: 'removed', deleteData: true })),
  );
  await Promise.all(configs.map((config) => bench.report(config.containerId, 'removed')));
  expect(
    leftovers(
      bench,
      configs.map(({ containerId }) => containerId),
    ),
  ).toEqual([]);
});
