/** A provisioner of today starts on the filled database of an earlier release, beside one of that release. */
import pg from 'pg';
import { percentile, row } from '../system.js';
import type { Fleet } from './fleet.js';
import type { FleetOptions } from './options.js';
import type { Requests } from './requests.js';

const REPORTS_AT_ONCE = 200;
/** Both run side by side for so long, then the new one alone. */
const SIDE_BY_SIDE_MS = 10_000;
const LOOK_MS = 5;

/** The longest that any statement has waited for a lock meanwhile. */
class LockWaits {
  private longest = 0;
  private over = false;
  private readonly looking: Promise<void>;

  constructor(private readonly client: pg.Client) {
    this.looking = this.look();
  }

  async stop(): Promise<number> {
    this.over = true;
    await this.looking;
    return this.longest;
  }

  private async look(): Promise<void> {
    while (!this.over) {
      const { rows } = await this.client.query<{ ms: number | null }>(
        `SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart) * 1000)::float8 AS ms
           FROM pg_locks l WHERE NOT l.granted AND l.locktype = 'relation'`,
      );
      this.longest = Math.max(this.longest, rows[0]?.ms ?? 0);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

/** @returns how many requests were sent meanwhile */
export async function upgradeFleet(
  fleet: Fleet,
  given: FleetOptions,
  requests: Requests,
  request: (id: string, index: number) => void,
): Promise<number> {
  const ids = [...fleet.hosts.placed.keys()];
  await fleet.hosts.report(ids, REPORTS_AT_ONCE, true);
  await fleet.until(
    async () => (await fleet.count(`SELECT count(*) FROM containers WHERE state = 'running'`)) >= ids.length,
    'all containers run',
  );
  let sent = 0;
  const sending = setInterval(() => {
    request(`upgrade-${sent}`, sent);
    sent++;
  }, 1_000 / given.rate);
  const watching = new pg.Client({ connectionString: fleet.databaseUrl });
  await watching.connect();
  try {
    const waits = new LockWaits(watching);
    const begin = performance.now();
    await fleet.startToday();
    row('migrated, and ready after, s', (performance.now() - begin) / 1_000);
    await new Promise((resolve) => setTimeout(resolve, SIDE_BY_SIDE_MS));
    row('  longest wait for the lock of a table meanwhile, ms', await waits.stop());
    await fleet.endOldest();
    await new Promise((resolve) => setTimeout(resolve, SIDE_BY_SIDE_MS));
  } finally {
    clearInterval(sending);
    await watching.end();
  }
  await requests.untilUnanswered(0, performance.now() + given.timeoutSeconds * 1_000);
  await fleet.until(async () => fleet.hosts.placed.size >= ids.length + sent, 'all hosts were sent their containers');
  const times = requests.times('upgrade-');
  row(`${sent} requests meanwhile, ms: p50, longest`, percentile(times, 0.5), Math.max(0, ...times));
  return sent;
}
