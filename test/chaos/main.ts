/**
 * `npm run chaos -- --seed S --faults N`: prints every fault, the violations, and a table; exit code 0 only without a
 * violation.
 */
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULTS } from './faults.js';
import { runChaos } from './harness.js';
import { PLANTED } from './planted.js';
import { Rig } from './rig.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    faults: { type: 'string', default: '100' },
    'check-every': { type: 'string', default: '25' },
    only: { type: 'string', default: '' },
    plant: { type: 'string' },
    record: { type: 'string', default: '' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [seed, faults, checkEvery] = [values.seed, values.faults, values['check-every']].map(Number);
if (values.help || [seed, faults, checkEvery].some((value) => !Number.isInteger(value))) {
  process.stdout.write(
    'usage: npm run chaos -- [--seed N] [--faults 100] [--check-every 25] [--only <part of a kind,…>] ' +
      '[--plant <bug>] [--record <directory>]\n' +
      'the same seed gives the same faults and requests in the same order\n' +
      '--record: directory for journal, facts, tables and logs of a run with a violation; ' +
      "absent: a new one in the system's folder for temporary files\n" +
      `--plant: runs with a bug that the harness has to find: ${Object.keys(PLANTED).join(', ')}\n`,
  );
  process.exit(values.help ? 0 : 2);
}

const bug = values.plant === undefined ? undefined : PLANTED[values.plant];
if (values.plant !== undefined && !bug) {
  process.stderr.write(`there is no bug ${values.plant}; there are ${Object.keys(PLANTED).join(', ')}\n`);
  process.exit(2);
}
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
const begin = performance.now();
process.stdout.write(`seed ${seed}: ${faults} faults\n`);
let code = 1;
const rig = await Rig.open(bug ? [bug] : []);
try {
  const result = await runChaos({
    rig,
    seed: seed ?? 0,
    faults: faults ?? 0,
    checkEvery: checkEvery ?? 25,
    only: values.only,
    recordIn: values.record === '' ? join(tmpdir(), `plinth-chaos-${seed}-${Date.now()}`) : resolve(values.record),
    signal: stop.signal,
    onLine: (line) => process.stdout.write(`${line}\n`),
  });
  process.stdout.write('\nfault                              injected\n');
  for (const kind of Object.keys(FAULTS)) process.stdout.write(`${kind.padEnd(34)} ${result.injected[kind] ?? 0}\n`);
  const total = Object.values(result.injected).reduce((sum, count) => sum + count, 0);
  process.stdout.write(
    `\n${total} faults, ${result.requests} requests, ${result.violations.length} violations, ` +
      `${((performance.now() - begin) / 1000).toFixed(0)} s; ` +
      `again with: npm run chaos -- --seed ${seed} --faults ${faults}\n`,
  );
  code = result.violations.length === 0 ? 0 : 1;
} finally {
  if (bug)
    process.stdout.write(
      code === 0 ? `the planted bug ${values.plant} was NOT found\n` : `the planted bug ${values.plant} was found\n`,
    );
  if (code === 0 || process.env['PLINTH_CHAOS_KEEP'] === undefined) await rig.close();
  else process.stdout.write(`left as it is: PLINTH_HOME=${rig.stack.home}\n`);
}
process.exit(code);
