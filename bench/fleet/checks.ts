/** What must hold after a run, by the database and by what the hosts were sent. */
import type pg from 'pg';
import type { SimulatedHosts } from './simulated-hosts.js';

/** @returns what does not hold, in words; empty: all is well */
export async function violations(
  database: pg.Client,
  hosts: SimulatedHosts,
  requests: number,
  capacity: number,
  silent: number,
): Promise<readonly string[]> {
  const found: string[] = [];
  const number = async (text: string, values: readonly unknown[] = []): Promise<number> =>
    Number((await database.query<{ count: string }>(text, [...values])).rows[0]?.count);
  const expect = (what: string, seen: number, wanted: number): void => {
    if (seen !== wanted) found.push(`${what}: ${seen}, not ${wanted}`);
  };
  expect(
    'hosts with more than their capacity, by the containers on them',
    await number(
      `SELECT count(*) FROM (SELECT h.host FROM hosts h JOIN containers c USING (host) WHERE c.state <> 'removed'
        GROUP BY h.host HAVING count(*) > h.capacity_containers OR sum(c.memory_bytes) > h.capacity_memory) over_full`,
    ),
    0,
  );
  expect(
    'hosts whose reserved room is not that of their containers',
    await number(
      `SELECT count(*) FROM hosts h LEFT JOIN (SELECT host, count(*) AS n, sum(memory_bytes) AS memory FROM containers
          WHERE state <> 'removed' GROUP BY host) c USING (host)
        WHERE h.allocated_containers <> coalesce(c.n, 0) OR h.allocated_memory <> coalesce(c.memory, 0)`,
    ),
    0,
  );
  expect('hosts that are lost', await number(`SELECT count(*) FROM hosts WHERE state <> 'ready'`), silent);
  expect(
    'kept numbers that are not what a count of all rows gives',
    await number('SELECT count(*) FROM count_drift()'),
    0,
  );
  const counts = new Map<string, number>();
  for (const host of hosts.placed.values()) counts.set(host, (counts.get(host) ?? 0) + 1);
  expect(
    'hosts that were sent more than their capacity',
    [...counts.values()].filter((count) => count > capacity).length,
    0,
  );
  expect('containers that two hosts were sent', hosts.twice.size, 0);
  expect('containers that hosts were sent', hosts.placed.size, requests);
  expect('containers in the database', await number('SELECT count(*) FROM containers'), requests);
  expect('requests that are answered', await number(ANSWERS('count(DISTINCT id)')), requests);
  expect('answers', await number(ANSWERS('count(*)')), requests);
  expect('requests that still wait', await number('SELECT count(*) FROM intake'), 0);
  expect(
    'addresses that two containers have',
    await number(
      `SELECT count(*) FROM (SELECT 1 FROM containers WHERE config ? 'address' GROUP BY config->'address'->>'ipv4'
        HAVING count(*) > 1) shared`,
    ),
    0,
  );
  return found;
}

const ANSWERS = (what: string): string =>
  `SELECT ${what} FROM (SELECT data->>'requestId' AS id FROM outbox_events
     WHERE subject IN ('container.configured', 'container.rejected')) answers`;
