/** Many hosts fall silent at once, while requests go on. */
import { percentile, row } from '../system.js';
import { printStatements } from './costs.js';
import { type Fleet, LOST_SECONDS } from './fleet.js';
import type { FleetOptions } from './options.js';
import type { Requests } from './requests.js';

/** Nothing has moved for so long: what is left finds no room, or no host that reaches its volume. */
const STILL_SECONDS = 60;
const LOOK_MS = 250;

/** @returns how many requests were sent meanwhile */
export async function loseHosts(
  fleet: Fleet,
  given: FleetOptions,
  requests: Requests,
  request: (id: string, index: number) => void,
  log: (line: string) => void,
): Promise<number> {
  const affected = new Set(fleet.hosts.names.slice(0, given.lose));
  const left = (): number => [...fleet.hosts.placed.values()].filter((host) => affected.has(host)).length;
  await fleet.analyze();
  await fleet.forgetStatements();
  const before = fleet.costs();
  const begin = performance.now();
  const seconds = (): number => (performance.now() - begin) / 1_000;
  fleet.hosts.lose(given.lose);
  log(`${given.lose} of ${given.hosts} hosts fall silent, with ${left()} containers`);
  let sent = 0;
  const sending = setInterval(() => {
    request(`meanwhile-${sent}`, sent);
    sent++;
  }, 1_000 / given.rate);
  let first = 0;
  let noticed = 0;
  let firstMoved = 0;
  try {
    let seen = -1;
    // Until it is noticed some of the requests come to silent hosts.
    for (let since = seconds(); (noticed === 0 || left() > 0) && seconds() - since < STILL_SECONDS + LOST_SECONDS;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (noticed === 0) {
        const lost = await fleet.count(`SELECT count(*) FROM hosts WHERE state = 'lost'`);
        if (lost > 0) first ||= seconds();
        if (lost >= given.lose) noticed = seconds();
      }
      const moved = fleet.hosts.moved.size;
      if (moved > 0) firstMoved ||= seconds();
      if (moved === seen) continue;
      [seen, since] = [moved, seconds()];
      if (Math.floor(seconds()) % 5 === 0)
        log(`${moved} are placed elsewhere after ${Math.round(seconds())} s, ${left()} are not`);
    }
  } finally {
    clearInterval(sending);
  }
  const took = seconds();
  await requests.untilUnanswered(0, performance.now() + given.timeoutSeconds * 1_000);
  const moved = fleet.hosts.moved.size;
  row(
    `seconds until the first, all of ${given.lose} silent hosts were lost (goal: ${LOST_SECONDS} + 5)`,
    first,
    noticed,
  );
  row(`seconds until the first, all of ${moved} containers were placed elsewhere`, firstMoved, took);
  row('  containers a second, from the first on', moved / Math.max(0.001, took - firstMoved));
  row('  containers that found no room', left());
  const times = requests.times('meanwhile-');
  row(`${sent} requests meanwhile, ms: p50, p99`, percentile(times, 0.5), percentile(times, 0.99));
  const after = fleet.costs();
  for (const [name, { cpuSeconds, residentBytes }] of after)
    row(`  ${name}, s of processor, MiB`, cpuSeconds - (before.get(name)?.cpuSeconds ?? 0), residentBytes / 1024 ** 2);
  await printStatements(fleet);
  return sent;
}
