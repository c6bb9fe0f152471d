/** What a run of the fleet simulator is asked to do. */
import { parseArgs } from 'node:util';
import { MOST_REBALANCE_MOVES } from '@plinth/contracts';

export interface FleetOptions {
  readonly hosts: number;
  readonly requests: number;
  readonly provisioners: number;
  /** Requests without an answer at once; 0: no bound. */
  readonly unanswered: number;
  readonly tenants: number;
  readonly heartbeatSeconds: number;
  /** Requests one after the other on the idle system, before the many. */
  readonly singles: number;
  /** Containers whose hosts report a start, after the placements. */
  readonly reports: number;
  /** Hosts that fall silent at once after all is placed. */
  readonly lose: number;
  /** Moves of a rebalance, at the most, of a fleet half of whose hosts are empty, after all is placed. */
  readonly rebalance: number;
  /** Percentage of the requests that are in groups, spread over racks. */
  readonly groups: number;
  /** Percentage of the requests that have a host port given out. */
  readonly ports: number;
  /** Requests a second while hosts are lost, or a rebalance is planned and carried out. */
  readonly rate: number;
  /** Seconds in which nothing but heartbeats happens, after the placements. */
  readonly idleSeconds: number;
  /** Storage nodes; each host reaches one. */
  readonly storageNodes: number;
  /** Checkout of an earlier release, built: its provisioners run first; undefined: those of this one. */
  readonly upgradeFrom: string | undefined;
  readonly joinAtOnce: boolean;
  readonly kill: boolean;
  /** Images that each host reports in a store of its own; 0: it has none. */
  readonly ownImages: number;
  readonly network: boolean;
  /** Whether each part prints the statements that took most of the database's time. */
  readonly statements: boolean;
  /** Where the provisioners leave profiles of what they computed; undefined: nowhere. */
  readonly profile: string | undefined;
  /** Percentage of the fleet's room that the requests take. */
  readonly fill: number;
  readonly timeoutSeconds: number;
}

const HELP = `npm run bench:fleet -- [options]: a simulation of a fleet.

A nats-server, a PostgreSQL with fsync and provisioners are real processes; hosts and a storage node are played by this
program over the contracts that real ones use: heartbeats, desired state, reports. No container runs.

It prints placements a second (from the first request until the last container.configured), the time from a request to
its answer, processor time and memory of each process, and bytes of database and bus for each container. Then it checks
that no host has more than its capacity, that nothing was placed twice, and that nothing was lost.

  --hosts N              hosts (100)
  --requests R           requests for containers, all of which fit (5000)
  --provisioners P       provisioners (1)
  --unanswered N         requests without an answer at once; 0: all at once (500)
  --tenants N            tenants that request in turn (10)
  --singles N            requests one after the other before the others (100)
  --heartbeat-seconds S  time between two heartbeats of a host (5)
  --reports N            afterwards hosts report the starts of N containers, one of 50 as failed, one of 50 late (0)
  --idle S               afterwards nothing but heartbeats for S seconds: what they cost (0)
  --lose N               afterwards N hosts fall silent at once, and requests go on: how soon that is noticed, how soon
                         their containers are placed elsewhere (0); leave room for them with --fill
  --rebalance N          only half of the hosts get containers; afterwards N of these are moved to the others: what plan
                         and moves cost, and how long requests take meanwhile (0)
  --upgrade-from DIR     provisioners are those of an earlier release, of which this is a checkout that was built;
                         afterwards one of this release starts beside them, and they end, while requests go on
  --groups PERCENT       of the requests that are in groups, spread over racks (0)
  --ports PERCENT        of the requests that have a host port given out (0)
  --rate N               requests a second while hosts are lost, or containers moved (20)
  --storage-nodes N      storage nodes, each with the leases of its hosts (one for 500 hosts)
  --own-images N         hosts have stores of their own with N images (0)
  --join-at-once         all hosts send their first heartbeat at once
  --fill PERCENT         what the requests take of the capacity of all hosts (80)
  --network              hosts give containers an address of their own, and learn of those of their tenants: what that
                         costs
  --statements           each part also prints the statements that took most of the database's time (pg_stat_statements)
  --profile DIRECTORY    provisioners write a processor profile there when they end (.cpuprofile, for the developer tools of browsers)
  --kill                 a provisioner is killed with SIGKILL when a third is answered, and started again
  --timeout-seconds S    most time for the placements (600)
  --help                 this text

Exit code: 0; 1 when a check fails or the time is over; 2 for wrong options.
`;

class OptionError extends Error {}

/** @returns undefined when the text of `--help` was asked for; it is printed */
export function fleetOptions(args: readonly string[]): FleetOptions | undefined {
  try {
    return parsed(args);
  } catch (error) {
    if (!(error instanceof OptionError) && !(error instanceof TypeError)) throw error;
    process.stderr.write(`${error.message}\nnpm run bench:fleet -- --help lists all options\n`);
    process.exit(2);
  }
}

function parsed(args: readonly string[]): FleetOptions | undefined {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      hosts: { ...text, default: '100' },
      requests: { ...text, default: '5000' },
      provisioners: { ...text, default: '1' },
      unanswered: { ...text, default: '500' },
      tenants: { ...text, default: '10' },
      singles: { ...text, default: '100' },
      'heartbeat-seconds': { ...text, default: '5' },
      reports: { ...text, default: '0' },
      idle: { ...text, default: '0' },
      lose: { ...text, default: '0' },
      rebalance: { ...text, default: '0' },
      groups: { ...text, default: '0' },
      ports: { ...text, default: '0' },
      rate: { ...text, default: '20' },
      'storage-nodes': { ...text, default: '0' },
      'own-images': { ...text, default: '0' },
      fill: { ...text, default: '80' },
      'timeout-seconds': { ...text, default: '600' },
      'join-at-once': flag,
      network: flag,
      statements: flag,
      profile: text,
      'upgrade-from': text,
      kill: flag,
      help: flag,
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return undefined;
  }
  const whole = (
    name: Exclude<
      keyof typeof values,
      'join-at-once' | 'network' | 'statements' | 'profile' | 'upgrade-from' | 'kill' | 'help'
    >,
    least: number,
    most: number,
  ) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new OptionError(`--${name} takes a whole number from ${least} to ${most}, not ${values[name]}`);
    return value;
  };
  const hosts = whole('hosts', 1, 100_000);
  return {
    hosts,
    lose: whole('lose', 0, hosts - 1),
    rebalance: whole('rebalance', 0, MOST_REBALANCE_MOVES),
    groups: whole('groups', 0, 100),
    ports: whole('ports', 0, 100),
    rate: whole('rate', 1, 1_000),
    idleSeconds: whole('idle', 0, 3_600),
    storageNodes: whole('storage-nodes', 0, 1_000) || Math.ceil(hosts / 500),
    joinAtOnce: values['join-at-once'],
    requests: whole('requests', 1, 1_000_000),
    provisioners: whole('provisioners', 1, 16),
    unanswered: whole('unanswered', 0, 1_000_000) || Number.POSITIVE_INFINITY,
    tenants: whole('tenants', 1, 10_000),
    singles: whole('singles', 0, 10_000),
    heartbeatSeconds: whole('heartbeat-seconds', 1, 60),
    reports: whole('reports', 0, 1_000_000),
    ownImages: whole('own-images', 0, 1_000),
    fill: whole('fill', 1, 100),
    timeoutSeconds: whole('timeout-seconds', 1, 86_400),
    network: values.network,
    statements: values.statements,
    profile: values.profile,
    upgradeFrom: values['upgrade-from'],
    kill: values.kill,
  };
}
