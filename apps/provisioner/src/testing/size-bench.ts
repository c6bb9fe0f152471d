/**
 * How large the database is after many requests: `node apps/provisioner/build/testing/size-bench.js [requests]`. One
 * container is requested, started and removed by a real provisioner; its rows are copied as retention leaves them when so
 * many requests came evenly over 30 days and each container lived for a day. It prints figures and asserts nothing.
 */
import { SUBJECTS } from '@plinth/contracts';
import { copyRows } from './copied-rows.js';
import { ProvisionerSuite } from './provisioner-suite.js';

const REQUESTS = Number(process.argv[2] ?? 100_000);
/** Days for which removed containers are kept; sent events and handled ids. */
const DAYS = 30;
const OUTBOX_DAYS = 1;
const INBOX_DAYS = 8;

const suite = await ProvisionerSuite.open(1, ['host-1'], 1_000_000, { PLINTH_CHECK_CONTRACTS: '0' });
await suite.promote('debian-12', 'v1');
await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
await suite.until(
  async () => (await suite.rows('SELECT 1 FROM outbox WHERE sent_at IS NULL')).length === 0,
  'all is sent',
);
const before = await suite.rows<{ n: string; last: string }>(
  `SELECT (SELECT coalesce(max(sequence), 0) FROM outbox) AS last, (SELECT count(*) FROM inbox) AS n`,
);
const at = new Date().toISOString();
await suite.run('real', 1);
await suite.ask(SUBJECTS.containerRemoveRequested, { name: 'real-0' });
await suite.fact(SUBJECTS.containerRemoved, { name: 'real-0' });
await suite.until(
  async () =>
    (await suite.rows(`SELECT 1 FROM outbox WHERE sent_at IS NULL`)).length === 0 &&
    (await suite.rows(`SELECT 1 FROM containers WHERE state = 'removed'`)).length === 1,
  'the container is removed, and all about it is sent',
);
await suite.inTransaction(async (query) => {
  await query('SET LOCAL session_replication_role = replica');
  const each = (count: number): string => `generate_series(1, ${Math.round(count)}) n`;
  await copyRows(query, 'containers', `${each(REQUESTS)} WHERE t.name = 'real-0'`, {
    id: 'md5(n::text)',
    tenant: `'tenant-' || n % 100`,
    name: `'copy-' || n`,
    request_id: `md5('request' || n)`,
    state: `CASE WHEN n <= ${REQUESTS / DAYS} THEN 'running' ELSE 'removed' END`,
    host: `'host-' || n % 10000`,
    config: `t.config || jsonb_build_object('host', 'host-' || n % 10000, 'containerId', md5(n::text), 'name', 'copy-' || n)`,
    status_kept: `n <= ${(2 * REQUESTS) / DAYS}`,
    removed_at: `CASE WHEN n > ${REQUESTS / DAYS} THEN t.removed_at END`,
  });
  await copyRows(
    query,
    'container_history',
    `${each(REQUESTS)} WHERE t.container_id = (SELECT id FROM containers WHERE name = 'real-0')`,
    { container_id: 'md5(n::text)' },
  );
  await copyRows(query, 'outbox', `${each((REQUESTS * OUTBOX_DAYS) / DAYS)} WHERE t.sequence > ${before[0]?.last}`, {
    id: `md5(t.id || n)`,
    aggregate: `'container:' || md5(n::text)`,
  });
  await copyRows(query, 'inbox', `${each((REQUESTS * INBOX_DAYS) / DAYS)} WHERE t.handled_at >= '${at}'`, {
    event_id: `md5(t.event_id || n)`,
  });
});
await suite.rows('ANALYZE');
const sizes = await suite.rows<{ name: string; rows: string; heap: string; indexes: string; total: string }>(
  `SELECT relname AS name, reltuples::bigint AS rows, pg_relation_size(oid) AS heap, pg_indexes_size(oid) AS indexes,
          pg_total_relation_size(oid) AS total
     FROM pg_class WHERE relkind = 'r' AND relnamespace = 'provisioner'::regnamespace ORDER BY total DESC LIMIT 8`,
);
const mib = (bytes: string): string => (Number(bytes) / 1024 ** 2).toFixed(1).padStart(10);
console.log(`${REQUESTS} requests over ${DAYS} days; copies of the rows of one real container`);
console.log(`${'table'.padEnd(24)} ${'rows'.padStart(10)} ${'MiB: rows'.padStart(10)} ${'indexes'.padStart(10)}`);
for (const { name, rows, heap, indexes } of sizes)
  console.log(`${name.padEnd(24)} ${rows.padStart(10)} ${mib(heap)} ${mib(indexes)}`);
const all = await suite.rows<{ bytes: string }>('SELECT pg_database_size(current_database()) AS bytes');
console.log(`${'all'.padEnd(24)} ${''.padStart(10)} ${mib(all[0]?.bytes ?? '0')}`);
await suite.close();
