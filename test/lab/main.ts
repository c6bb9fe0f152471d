/**
 * `npm run lab:faults -- --rounds 20`: every server of a bus of three loses its power, stands still and is cut off, under
 * load, in turn: the one that decides, the one that the publisher is connected to, another. A line for each round; ends
 * with 1 when an acknowledged message is missing on a replica or nothing was acknowledged for 8 s.
 * `--nats-server PATH`: 2.10.23 or later; absent: Debian 13's is fetched (scripts/debian-13-packages.mjs).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { INSTALLATION } from '../stack.js';
import { BUS_FAULTS, BusCluster, type BusRound } from './bus-cluster.js';

const GOAL_MS = 8_000;
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    'nats-server': { type: 'string' },
    only: { type: 'string', default: BUS_FAULTS.join(',') },
  },
});
const scratch = mkdtempSync(join(tmpdir(), 'plinth-lab-'));
const rounds: BusRound[] = [];
try {
  const program = values['nats-server'] ?? join(fetched(), 'usr/sbin/nats-server');
  await using cluster = await BusCluster.start(join(scratch, 'lab'), program);
  process.stdout.write(`nats-server ${cluster.version}\n`);
  for (let number = 0; number < Number(values.rounds); number += 1)
    for (const fault of BUS_FAULTS.filter((one) => values.only.split(',').includes(one))) {
      const round = await cluster.round(fault, ({ attachedTo, replicas }) => {
        const events = replicas.filter(({ stream }) => stream === 'PLINTH_EVENTS');
        const leader = events[0]?.leader ?? '';
        const other = events.find(({ server }) => server !== leader && server !== attachedTo)?.server ?? leader;
        return [leader, attachedTo, other][number % 3] ?? leader;
      });
      rounds.push(round);
      const { server, role, pauseMs, acknowledged, missing } = round;
      process.stdout.write(
        `${String(number + 1).padStart(3)} ${fault.padEnd(10)} ${server} ${role.padEnd(16)} pause ${pauseMs} ms, ${acknowledged} acknowledged, ${missing.join('; ') || 'none missing'}\n`,
      );
    }
  for (const fault of BUS_FAULTS) {
    const pauses = rounds.filter((round) => round.fault === fault).map(({ pauseMs }) => pauseMs);
    const sorted = pauses.toSorted((a, b) => a - b);
    if (sorted.length > 0)
      process.stdout.write(
        `${fault}: ${sorted.length} rounds, pause ${sorted[Math.floor(sorted.length / 2)]} ms (median), ${sorted.at(-1)} ms (longest)\n`,
      );
  }
  const lost = rounds.filter(({ missing }) => missing.length > 0).length;
  process.stdout.write(`${cluster.acknowledged.size} acknowledged, rounds with missing messages: ${lost}\n`);
  if (lost > 0 || rounds.some(({ pauseMs }) => pauseMs > GOAL_MS)) process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function fetched(): string {
  const directory = join(INSTALLATION, '.plinth', 'debian-13');
  const script = join(INSTALLATION, 'scripts/debian-13-packages.mjs');
  return execFileSync(process.execPath, [script, directory, 'nats-server'], { encoding: 'utf8' }).trim();
}
