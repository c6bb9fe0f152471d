/** `npm run bench:fleet`: the simulation of a fleet; `--help` says what is simulated and what is measured. */
import { violations } from './fleet/checks.js';
import { type Cost, printStatements } from './fleet/costs.js';
import { Fleet, THIS_PROGRAM } from './fleet/fleet.js';
import { measureNeighbours, valuesSent } from './fleet/neighbours.js';
import { type FleetOptions, fleetOptions } from './fleet/options.js';
import { loseHosts } from './fleet/loss.js';
import { keepHalfEmpty, rebalanceFleet } from './fleet/rebalance.js';
import { upgradeFleet } from './fleet/upgrade.js';
import { Requests } from './fleet/requests.js';
import { MEMORY_OF_ONE } from './fleet/simulated-hosts.js';
import { percentile, row } from './system.js';

const PROGRESS_MS = 5_000;
const REPORTS_AT_ONCE = 200;
/** Seconds of requests that have to find room while hosts are lost. */
const MEANWHILE = 300;

const log = (line: string): void => void process.stderr.write(`${line}\n`);
const options = fleetOptions(process.argv.slice(2));
if (options) process.exit(await run(options));

async function run(given: FleetOptions): Promise<number> {
  const isDisturbed = given.lose > 0 || given.rebalance > 0 || given.upgradeFrom !== undefined;
  const wanted = given.requests + given.singles + MEANWHILE * (isDisturbed ? given.rate : 0);
  const filled = given.rebalance > 0 ? Math.ceil(given.hosts / 2) : given.hosts;
  const capacity = Math.max(1, Math.ceil((wanted * 100) / (given.fill * filled)));
  let fleet: Fleet | undefined;
  // What is interrupted leaves nothing running; all processes also end with this one.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void (fleet?.close() ?? Promise.resolve()).finally(() => process.exit(1)));
  try {
    fleet = await Fleet.open(given, capacity, log);
    return await measure(fleet, given, capacity);
  } catch (error) {
    log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    for (const line of fleet?.complaints() ?? []) log(line.slice(0, 1_000));
    return 1;
  } finally {
    await fleet?.close();
  }
}

async function measure(fleet: Fleet, given: FleetOptions, capacity: number): Promise<number> {
  const requests = new Requests(fleet.connection, fleet.jetstream);
  const request = (id: string, index: number): void =>
    requests.send(id, {
      name: id,
      tenant: `tenant-${index % given.tenants}`,
      command: ['/bin/sleep', '1000000'],
      limits: { memoryBytes: MEMORY_OF_ONE, cpus: 0.1 },
      ...(index % 100 < given.groups && { group: `group-${Math.floor(index / 100)}`, spread: { over: 'rack' } }),
      ...(99 - (index % 100) < given.ports && { ports: [{ container: 80 }] }),
    });
  if (fleet.joining) {
    const { seconds, before: idle, after: joined } = fleet.joining;
    row(`${given.hosts} hosts joined, s${given.joinAtOnce ? '; all at once' : ''}`, seconds);
    printCosts(idle, joined, given.hosts);
  }
  if (given.rebalance > 0) await keepHalfEmpty(fleet, true);
  const deadline = performance.now() + given.timeoutSeconds * 1_000;

  await fleet.connection.flush();
  for (let index = 0; index < given.singles; index++) {
    request(`single-${index}`, index);
    await requests.untilUnanswered(0, deadline);
  }
  const alone = await fleet.deciding();
  log(`${given.hosts} hosts for ${capacity} containers each; ${given.requests} requests begin`);
  const before = { costs: fleet.costs(), bytes: await fleet.bytes(), values: await valuesSent(fleet) };
  const { configured: earlier } = requests.answers;
  await fleet.forgetStatements();
  const begin = performance.now();
  const progress = setInterval(() => {
    const done = requests.answers.configured - earlier;
    log(`${done} of ${given.requests} placed, ${Math.round((done * 1000) / (performance.now() - begin))} a second`);
  }, PROGRESS_MS);
  let killed: Promise<void> | undefined;
  try {
    for (let index = 0; index < given.requests; index++) {
      request(`many-${index}`, index);
      // The answers and the bus get their turn.
      if (index % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
      if (requests.unanswered >= given.unanswered) await requests.untilUnanswered(given.unanswered - 1, deadline);
      if (given.kill && !killed && requests.answers.configured > given.requests / 3) {
        log('a provisioner is killed');
        killed = fleet.killOne();
      }
    }
    await requests.untilUnanswered(0, deadline);
  } finally {
    clearInterval(progress);
    await killed;
  }
  const seconds = (performance.now() - begin) / 1_000;
  const after = fleet.costs();
  const wanted = given.requests + given.singles;
  await fleet.until(async () => fleet.hosts.placed.size >= wanted, 'all hosts were sent their containers');
  const bytes = await fleet.bytes();

  const title = `simulated: ${given.hosts} hosts, ${given.provisioners} provisioners, ${given.requests} requests`;
  row(title, '');
  row('placements a second', given.requests / seconds);
  const times = requests.times('many-');
  row('request to container.configured, ms: p50, p99', percentile(times, 0.5), percentile(times, 0.99));
  if (given.singles > 0) {
    const singles = requests.times('single-');
    row('  one at a time on the idle system: p50, p99', percentile(singles, 0.5), percentile(singles, 0.99));
    row('  of it deciding: from arrival to commit, mean', (alone.seconds * 1_000) / Math.max(1, alone.count));
  }
  row('bytes of the database, of the bus for each', ...perContainer(before.bytes, bytes, given.requests));
  row('process', 'ms each', 'MiB');
  printCosts(before.costs, after, given.requests);
  if (given.network) await measureNeighbours(fleet, given.requests, before, after);
  await printStatements(fleet);
  if (given.reports > 0) await measureReports(fleet, given.reports);
  if (given.idleSeconds > 0) await measureIdle(fleet, given.idleSeconds);
  let meanwhile = given.rebalance > 0 ? await rebalanceFleet(fleet, given, requests, request, log) : 0;
  if (given.upgradeFrom !== undefined) meanwhile += await upgradeFleet(fleet, given, requests, request);
  if (given.lose > 0) meanwhile += await loseHosts(fleet, given, requests, request, log);

  const { rejected, reasons } = requests.answers;
  const found = [
    ...(await violations(fleet.database, fleet.hosts, wanted + meanwhile, capacity, given.lose)),
    ...(rejected > 0 ? [`requests that were refused: ${rejected} (${[...reasons.keys()].join(', ')})`] : []),
  ];
  for (const line of found) log(`VIOLATED: ${line}`);
  if (found.length > 0) for (const line of fleet.complaints()) log(line.slice(0, 1_000));
  row('checks violated (capacity, twice, lost)', found.length);
  return found.length === 0 ? 0 : 1;
}

function perContainer(
  before: { readonly database: number; readonly bus: number },
  after: { readonly database: number; readonly bus: number },
  containers: number,
): readonly number[] {
  return [(after.database - before.database) / containers, (after.bus - before.bus) / containers];
}

/** A provisioner that was killed counts from its start again. */
function printCosts(before: ReadonlyMap<string, Cost>, after: ReadonlyMap<string, Cost>, count: number): void {
  let all = 0;
  for (const [name, { cpuSeconds, residentBytes }] of after) {
    const used = cpuSeconds - Math.min(before.get(name)?.cpuSeconds ?? 0, cpuSeconds);
    all += used;
    row(`  ${name}`, (used * 1_000) / count, residentBytes / 1024 ** 2);
  }
  row('  all', (all * 1_000) / count);
}

async function measureReports(fleet: Fleet, reports: number): Promise<void> {
  const ids = [...fleet.hosts.placed.keys()].slice(0, reports);
  const before = fleet.costs();
  const begin = performance.now();
  await fleet.hosts.report(ids, REPORTS_AT_ONCE);
  await fleet.until(
    async () =>
      (await fleet.count(`SELECT count(*) FROM containers WHERE state IN ('running', 'failed')`)) === ids.length,
    'every report is taken',
    async () => log(`${await fleet.count(`SELECT count(*) FROM containers WHERE state = 'running'`)} run`),
  );
  row('reports of started containers a second', (ids.length * 1_000) / (performance.now() - begin));
  printCosts(before, fleet.costs(), ids.length);
}

/** Heartbeats alone. */
async function measureIdle(fleet: Fleet, seconds: number): Promise<void> {
  const beats = (): Promise<number> => fleet.count('SELECT sum(beats) AS count FROM hosts');
  const beatsBefore = await beats();
  const before = fleet.costs();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  row(`idle for ${seconds} s`, 'cores', 'MiB');
  let all = 0;
  for (const [name, { cpuSeconds, residentBytes }] of fleet.costs()) {
    const used = (cpuSeconds - (before.get(name)?.cpuSeconds ?? 0)) / seconds;
    if (name !== THIS_PROGRAM) all += used;
    row(`  ${name}`, used, residentBytes / 1024 ** 2);
  }
  row('  all but the hosts', all);
  row('  heartbeats of hosts that were stored a second', ((await beats()) - beatsBefore) / seconds);
}
