/**
 * What a rollout to `known-good` costs when it is made: `node apps/provisioner/build/testing/known-good-bench.js
 * [containers]`. The containers are copies of one real container, every tenth of them without an earlier image. It prints
 * figures and asserts nothing.
 */
import { SUBJECTS } from '@plinth/contracts';
import { readFileSync } from 'node:fs';
import { copyRows } from './copied-rows.js';
import { ProvisionerSuite } from './provisioner-suite.js';

const SIZES = (process.argv[2] ?? '1000,100000').split(',').map(Number);
/** proc(5): USER_HZ. */
const TICKS_PER_SECOND = 100;

const suite = await ProvisionerSuite.open(1, ['host-1'], 1_000_000, {
  PLINTH_HOST_LOST_SECONDS: '3600',
  PLINTH_CHECK_CONTRACTS: '0',
});
await suite.promote('debian-12', 'v1');
await suite.promote('debian-12', 'v2');
await suite.ask(SUBJECTS.imageActivationRequested, { image: 'debian-12@v2' });
await suite.fact(SUBJECTS.imageActivated, { version: 'v2' });
await suite.run('real', 1);
const pid = suite.provisioners.at(-1)?.pid ?? 0;

/** Seconds of processor, and the most memory it had, in MiB. */
function costs(): { readonly seconds: number; readonly mebibytes: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { seconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND, mebibytes: Number(peak) / 1024 };
}

for (const size of SIZES) {
  await suite.inTransaction(async (query) => {
    // Nobody learns of these containers.
    await query('SET LOCAL session_replication_role = replica');
    await copyRows(query, 'hosts', `generate_series(1, ${size / 100}) n WHERE t.host = 'host-1'`, {
      host: `'copy-' || lpad(n::text, 6, '0')`,
    });
    const host = `'copy-' || lpad((1 + n % ${size / 100})::text, 6, '0')`;
    await copyRows(query, 'containers', `generate_series(1, ${size}) n WHERE t.name = 'real-0'`, {
      id: `md5(${size} || ' ' || n)`,
      tenant: `'size-${size}'`,
      name: `'copy-' || n`,
      request_id: `'copy-${size}-' || n`,
      host,
      known_good: `CASE WHEN n % 10 = 0 THEN '{}' ELSE ARRAY['debian-12@v2', 'debian-12@v1'] END`,
      config: `t.config || jsonb_build_object('host', ${host}, 'containerId', md5(${size} || ' ' || n), 'name', 'copy-' || n)`,
    });
    await query('INSERT INTO count_changes (kind, about, n, bytes) SELECT * FROM count_drift()');
  });
  await suite.rows('ANALYZE');
  const before = costs();
  const begin = performance.now();
  const request = { select: { tenant: `size-${size}` }, to: 'known-good', canary: 1, batch: '100', approval: 'canary' };
  const requestId = await suite.ask(SUBJECTS.rolloutRequested, request);
  const { message } = await suite.fact(SUBJECTS.rolloutStarted, { requestId });
  const after = costs();
  process.stdout.write(
    `${size} containers (${String(message)}): ${((performance.now() - begin) / 1_000).toFixed(2)} s, provisioner ` +
      `${(after.seconds - before.seconds).toFixed(2)} s of processor, at the most ${after.mebibytes.toFixed(0)} MiB ` +
      `(before: ${before.mebibytes.toFixed(0)})\n`,
  );
}
await suite.close();
