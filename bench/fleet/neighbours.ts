/** What it costs that hosts learn of the containers of their tenants on other hosts. */
import { STREAMS } from '@plinth/contracts';
import { row } from '../system.js';
import type { Cost } from './costs.js';
import { type Fleet, THIS_PROGRAM } from './fleet.js';

/** Values that hosts were ever sent. */
export async function valuesSent(fleet: Fleet): Promise<number> {
  const jsm = await fleet.connection.jetstreamManager();
  return (await jsm.streams.info(STREAMS.desired.name)).state.last_seq;
}

/**
 * Waits until every host was sent what is so.
 * @param before as it was before the first of the containers
 */
export async function measureNeighbours(
  fleet: Fleet,
  containers: number,
  before: { readonly costs: ReadonlyMap<string, Cost>; readonly values: number },
  placed: ReadonlyMap<string, Cost>,
): Promise<void> {
  const begin = performance.now();
  const open = (): Promise<number> =>
    fleet.count(
      `SELECT (SELECT count(*) FROM neighbour_changes) + (SELECT count(*) FROM outbox WHERE sent_at IS NULL)
         + (SELECT count(*) FROM outbox_batch WHERE sent_at IS NULL) AS count`,
    );
  await fleet.until(async () => (await open()) === 0, 'every host knows its neighbours');
  row('hosts know all containers of their tenants, s after the last placement', (performance.now() - begin) / 1_000);
  row('  values for each container', (await valuesSent(fleet)) / containers - before.values / containers);
  let all = 0;
  for (const [name, { cpuSeconds, residentBytes }] of fleet.costs()) {
    const used = ((cpuSeconds - (before.costs.get(name)?.cpuSeconds ?? 0)) * 1_000) / containers;
    const later = ((cpuSeconds - (placed.get(name)?.cpuSeconds ?? 0)) * 1_000) / containers;
    if (name !== THIS_PROGRAM) all += used;
    row(`  ${name}, ms for each container, of it afterwards, MiB`, used, later, residentBytes / 1024 ** 2);
  }
  row('  all but the hosts', all);
}
