/** Containers of the full half of a fleet are moved to the empty half, while requests go on. */
import {
  QUERIES,
  type QueryReply,
  type RebalanceCounts,
  type RebalancePlan,
  type RebalanceRequested,
  SUBJECTS,
} from '@plinth/contracts';
import { percentile, row } from '../system.js';
import { type Cost, printStatements } from './costs.js';
import type { Fleet } from './fleet.js';
import type { FleetOptions } from './options.js';
import type { Requests } from './requests.js';

const REPORTS_AT_ONCE = 200;
const MOVES_AT_ONCE = 20;
const PATIENCE_MS = 600_000;

/** The second half of the hosts gets no containers, or does. */
export async function keepHalfEmpty(fleet: Fleet, isEmpty: boolean): Promise<void> {
  const { names } = fleet.hosts;
  await fleet.database.query('UPDATE hosts SET cordoned = $1 AND host >= $2', [
    isEmpty,
    names[Math.ceil(names.length / 2)] ?? '~',
  ]);
}

/** @returns how many requests were sent meanwhile */
export async function rebalanceFleet(
  fleet: Fleet,
  given: FleetOptions,
  requests: Requests,
  request: (id: string, index: number) => void,
  log: (line: string) => void,
): Promise<number> {
  const ids = [...fleet.hosts.placed.keys()];
  await fleet.hosts.report(ids, REPORTS_AT_ONCE, true);
  const running = (): Promise<number> => fleet.count(`SELECT count(*) FROM containers WHERE state = 'running'`);
  await fleet.until(
    async () => (await running()) >= ids.length,
    'all containers run',
    async () => log(`${await running()} of ${ids.length} run`),
  );
  await fleet.analyze();
  fleet.hosts.startFollowing();
  await keepHalfEmpty(fleet, false);
  let sent = 0;
  const sending = setInterval(() => {
    request(`rebalance-${sent}`, sent);
    sent++;
  }, 1_000 / given.rate);
  try {
    const options = { maxMoves: given.rebalance, thresholdPercent: 1 };
    log(`a rebalance of ${given.rebalance} moves is planned`);
    await measured(fleet, 'plan', async () => {
      const message = await fleet.connection.request(QUERIES.rebalancePlan, JSON.stringify(options), {
        timeout: PATIENCE_MS,
      });
      const reply = message.json<QueryReply<RebalancePlan>>();
      if (!reply.ok) throw new Error(`no plan was made: ${reply.message}`);
      return `${reply.data.moves.length} moves`;
    });
    await answeredMeanwhile(requests, sent, 'plan');
    const before = sent;
    await measured(fleet, 'moves, each decided in a transaction', async () => {
      const finished = new Promise<RebalanceCounts>((resolve) => {
        fleet.connection.subscribe(SUBJECTS.rebalanceFinished, {
          max: 1,
          callback: (_error, message) => resolve(message.json<{ counts: RebalanceCounts }>().counts),
        });
      });
      const body: RebalanceRequested = { ...options, atOnce: MOVES_AT_ONCE };
      await fleet.jetstream.publish(SUBJECTS.rebalanceRequested, JSON.stringify(body));
      const counts = await Promise.race([
        finished,
        new Promise<never>((_, reject) =>
          setTimeout(() => reject(new Error('the rebalance did not end in time')), PATIENCE_MS).unref(),
        ),
      ]);
      return `moved ${counts.moved}, failed ${counts.failed}, skipped ${counts.skipped}`;
    });
    await answeredMeanwhile(requests, sent - before, 'moves');
  } finally {
    clearInterval(sending);
  }
  await requests.untilUnanswered(0, performance.now() + given.timeoutSeconds * 1_000);
  await fleet.until(
    async () => (await fleet.count(`SELECT count(*) FROM containers WHERE moving IS NOT NULL`)) === 0,
    'nothing is on its way any more',
  );
  return sent;
}

async function answeredMeanwhile(requests: Requests, count: number, what: string): Promise<void> {
  const times = requests.times('rebalance-').slice(-Math.max(1, count));
  row(`  requests meanwhile (${what}), ms: p50, longest`, percentile(times, 0.5), Math.max(0, ...times));
}

async function measured(fleet: Fleet, what: string, work: () => Promise<string>): Promise<void> {
  await fleet.forgetStatements();
  const before: ReadonlyMap<string, Cost> = fleet.costs();
  const begin = performance.now();
  const outcome = await work();
  row(`rebalance: ${what}: ${outcome}; s`, (performance.now() - begin) / 1_000);
  for (const [name, { cpuSeconds }] of fleet.costs())
    row(`  ${name}, s of processor`, cpuSeconds - (before.get(name)?.cpuSeconds ?? 0));
  await printStatements(fleet);
}
