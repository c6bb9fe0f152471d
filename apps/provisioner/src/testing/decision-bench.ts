/**
 * What a network costs a decision: `node apps/provisioner/build/testing/decision-bench.js`. One request after the other,
 * those with and without a network in turn, with few and with very many addresses and ports in use; then bursts, with
 * two provisioners. It prints figures and asserts nothing.
 */
import { randomBytes } from 'node:crypto';
import { SUBJECTS } from '@plinth/contracts';
import { headers } from 'nats';
import pg from 'pg';
import { ProvisionerSuite } from './provisioner-suite.js';

const ROUNDS = Number(process.env['PLINTH_BENCH_ROUNDS'] ?? 200);
const BURST = Number(process.env['PLINTH_BENCH_BURST'] ?? 1_000);
const SIZES = [1_000, 1_000_000];
const KINDS: Readonly<Record<string, () => object>> = {
  isolated: () => ({ network: 'isolated' }),
  container: () => ({ network: 'container' }),
  'container, a port given out': () => ({ network: 'container', ports: [{ container: 80 }] }),
  'container, a port asked for': () => ({ network: 'container', ports: [{ container: 80, host: nextPort() }] }),
};

let port = 33_000;
const nextPort = (): number => port++;

const suite = await ProvisionerSuite.open(2, ['host-1', 'host-2', 'host-3'], 1_000_000);
for (const host of suite.hosts.hosts) suite.hosts.networked.add(host);

const answered = new Map<string, () => void>();
suite.connection.subscribe(SUBJECTS.containerConfigured, {
  callback: (_error, message) => answered.get(message.json<{ requestId: string }>().requestId)?.(),
});
suite.connection.subscribe(SUBJECTS.containerRejected, {
  callback: (_error, message) => {
    throw new Error(message.string());
  },
});

async function decide(body: object): Promise<number> {
  const id = randomBytes(16).toString('hex');
  const done = new Promise<void>((resolve) => answered.set(id, resolve));
  const envelope = headers();
  envelope.set('ce-id', id);
  const begin = performance.now();
  await suite.jetstream.publish(SUBJECTS.containerRequested, JSON.stringify(body), { headers: envelope });
  await done;
  answered.delete(id);
  return performance.now() - begin;
}

async function sql(text: string): Promise<void> {
  const client = new pg.Client({ connectionString: suite.databaseUrl, options: '-c search_path=provisioner' });
  await client.connect();
  await client.query(text);
  await client.end();
}

/** As many addresses in use, a tenth of them released again, and 100 ports on each of a thousandth as many hosts. */
async function fill(size: number): Promise<void> {
  await sql(
    `INSERT INTO addresses (ipv4, container_id, free_since)
       SELECT '10.72.0.0'::inet + n, CASE WHEN n % 10 > 0 THEN 'fill-' || n END, now() - n * interval '1 second'
         FROM generate_series(1, ${size}) n ON CONFLICT DO NOTHING;
     INSERT INTO host_ports SELECT 'fill-' || h, 'tcp', 33000 + p, 'fill', 'fill', 'fill', 1, 80, NULL, true
       FROM generate_series(1, ${size / 1_000}) h, generate_series(1, 100) p ON CONFLICT DO NOTHING;
     INSERT INTO tenant_numbers SELECT 'fill-' || n, n FROM generate_series(2, ${Math.min(size, 60_000)}) n
       ON CONFLICT DO NOTHING;
     ANALYZE`,
  );
}

const quantile = (sorted: readonly number[], share: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(2);

await suite.promote('debian-12', 'v1');
await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v1' });
await suite.fact(SUBJECTS.imageActivated, { version: 'v1' });
await suite.until(
  async () => (await suite.rows('SELECT 1 FROM hosts WHERE network')).length === 3,
  'all hosts offer addresses',
);
for (const size of SIZES) {
  await fill(size);
  for (const kind of Object.values(KINDS)) for (let n = 0; n < 20; n++) await decide(kind());
  const times = new Map<string, number[]>(Object.keys(KINDS).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, kind] of Object.entries(KINDS)) times.get(name)?.push(await decide(kind()));
  for (const [name, all] of times) {
    const sorted = all.sort((a, b) => a - b);
    process.stdout.write(
      `${size} in use, one at a time, ${name}: p50 ${quantile(sorted, 0.5)} p99 ${quantile(sorted, 0.99)} ms\n`,
    );
  }
  const totals = new Map<string, number>();
  for (let round = 0; round < 4; round++)
    for (const name of round % 2 === 0 ? Object.keys(KINDS) : Object.keys(KINDS).reverse()) {
      suite.forgetFacts();
      const begin = performance.now();
      await Promise.all(Array.from({ length: BURST }, () => decide(KINDS[name]?.() ?? {})));
      totals.set(name, (totals.get(name) ?? 0) + performance.now() - begin);
    }
  for (const [name, total] of totals)
    process.stdout.write(`${size} in use, bursts of ${BURST}, ${name}: ${(total / 4 / BURST).toFixed(2)} ms each\n`);
}
await suite.close();
