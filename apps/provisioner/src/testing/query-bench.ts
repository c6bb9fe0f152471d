/**
 * What the first page of a list costs with few and with many containers and hosts:
 * `node apps/provisioner/build/testing/query-bench.js [containers] [hosts]`. The rows are copies of one real container
 * and one real host; each query is asked ten times over the bus. At
 * last another provisioner is started. It prints figures and asserts nothing.
 */
import { QUERIES, SUBJECTS } from '@plinth/contracts';
import { copyRows } from './copied-rows.js';
import { ProvisionerSuite } from './provisioner-suite.js';

const CONTAINERS = Number(process.argv[2] ?? 100_000);
const HOSTS = Number(process.argv[3] ?? 10_000);
const ROUNDS = 10;

const suite = await ProvisionerSuite.open(1, ['host-1'], 1_000_000, {
  PLINTH_HOST_LOST_SECONDS: '3600',
  PLINTH_CHECK_CONTRACTS: '0',
});

/** Copies the one container and host, in `count` containers on `hosts` hosts of 100 tenants; every 1,000th has failed. */
async function fill(count: number, hosts: number): Promise<void> {
  await suite.inTransaction(async (query) => {
    // Nobody learns of these containers.
    await query('SET LOCAL session_replication_role = replica');
    await copyRows(query, 'hosts', `generate_series(1, ${hosts}) n WHERE t.host = 'host-1'`, {
      host: `'copy-' || lpad(n::text, 6, '0')`,
    });
    const host = `'copy-' || lpad((1 + n % ${hosts})::text, 6, '0')`;
    await copyRows(query, 'containers', `generate_series(1, ${count}) n WHERE t.name = 'real-0'`, {
      id: 'md5(n::text)',
      tenant: `'tenant-' || n % 100`,
      name: `'copy-' || n`,
      request_id: `'copy-' || n`,
      host,
      state: `CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'running' END`,
      config: `t.config || jsonb_build_object('host', ${host}, 'containerId', md5(n::text), 'name', 'copy-' || n)`,
    });
    await query(
      `INSERT INTO rollouts (id, request_id, request, correlation_id, target, state)
       VALUES ('${'0'.repeat(32)}', 'copy', '{"select": {"image": "debian-12"}, "to": "debian-12@v1"}', 'copy', 'debian-12@v1', 'paused')
       ON CONFLICT DO NOTHING`,
    );
    await query(
      `INSERT INTO rollout_members (rollout_id, ordinal, container_id, from_image, to_image, phase, batch)
       SELECT '${'0'.repeat(32)}', n, md5(n::text), 'debian-12@v2', 'debian-12@v1',
              CASE WHEN n % 2 = 0 THEN 'updated' ELSE 'pending' END, n / 1000
         FROM generate_series(1, ${count}) n ON CONFLICT DO NOTHING`,
    );
    // No trigger has counted them.
    await query('INSERT INTO count_changes (kind, about, n, bytes) SELECT * FROM count_drift()');
  });
  await suite.rows('ANALYZE');
}

const LISTS: Readonly<Record<string, readonly [string, object]>> = {
  'containers, first 100': [QUERIES.containers, { limit: 100 }],
  'containers, first 500': [QUERIES.containers, {}],
  'of a tenant': [QUERIES.containers, { tenant: 'tenant-7' }],
  'of a tenant that has none': [QUERIES.containers, { tenant: 'nobody' }],
  'that failed': [QUERIES.containers, { state: 'failed' }],
  'that are lost (none)': [QUERIES.containers, { state: 'lost' }],
  'on a host': [QUERIES.containers, { host: 'copy-000007' }],
  'on an image': [QUERIES.containers, { image: 'debian-12@v1' }],
  'on no version of an image': [QUERIES.containers, { image: 'none' }],
  'that need an image (none)': [QUERIES.containers, { needs: 'debian-12@v9' }],
  'one by id': [QUERIES.container, { id: '0cc175b9c0f1b6a831c399e269772661' }],
  'one by name': [QUERIES.container, { name: 'real-0' }],
  'hosts, first 500': [QUERIES.hosts, {}],
  'storage nodes': [QUERIES.storage, {}],
  images: [QUERIES.images, {}],
  rollouts: [QUERIES.rollouts, {}],
  'one rollout': [QUERIES.rollout, { id: '0'.repeat(32) }],
  'members of a rollout, last 500': [QUERIES.rolloutMembers, { id: '0'.repeat(32), cursor: String(CONTAINERS - 501) }],
};

async function measure(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [name, [subject, body]] of Object.entries(LISTS)) {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const begin = performance.now();
      await suite.query(subject, body);
      times.push(performance.now() - begin);
    }
    found[name] = times.sort((a, b) => a - b)[ROUNDS / 2] ?? 0;
  }
  return found;
}

await suite.promote('debian-12', 'v1');
await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
await suite.run('real', 1);
await fill(CONTAINERS / 100, HOSTS / 100);
const few = await measure();
await fill(CONTAINERS, HOSTS);
const many = await measure();
console.log(
  `first page, p50 ms, with ${CONTAINERS / 100} containers on ${HOSTS / 100} hosts, and with 100 times as many`,
);
for (const name of Object.keys(LISTS))
  console.log(
    `${name.padEnd(28)} ${(few[name] ?? 0).toFixed(1).padStart(8)} ${(many[name] ?? 0).toFixed(1).padStart(8)}`,
  );
const begin = performance.now();
await suite.startProvisioner('provisioner-2');
console.log(`another provisioner is ready after ${Math.round(performance.now() - begin)} ms`);
await suite.close();
