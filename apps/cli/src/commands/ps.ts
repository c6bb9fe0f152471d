import { CONTAINER_STATES, type ContainerState, type ContainerStatus, QUERIES } from '@plinth/contracts';
import { type Command, Option } from 'commander';
import { withClient } from '../connection.js';
import { parseName } from './arguments.js';
import { type List, type ListOptions, printList, withList } from '../output/list.js';
import { describeReached } from '../output/limits-view.js';
import { containerName } from '@plinth/names';
import { describePorts, domainOf } from '../output/network-view.js';
import { ageCell } from '../output/table.js';

/** Not before it is asked for: its default is that of the services. */
const domain = (): string => domainOf(process.env);

export const CONTAINERS: List<ContainerStatus> = {
  name: ({ id }) => id,
  columns: [
    { heading: 'ID', cell: ({ id }) => id.slice(0, 12) },
    { heading: 'NAME', cell: ({ name }) => name },
    { heading: 'TENANT', cell: ({ tenant }) => tenant },
    { heading: 'STATE', cell: ({ state }) => state },
    { heading: 'HEALTH', cell: ({ health }) => health },
    { heading: 'HOST', cell: ({ host }) => host },
    { heading: 'ADDRESS', cell: ({ address, addresses }) => address?.ipv4 ?? addresses?.[0] },
    {
      heading: 'KNOWN AS',
      isWide: true,
      cell: ({ address, name, tenant }) => address && containerName(name, tenant, domain()),
    },
    { heading: 'PORTS', cell: ({ ports }) => describePorts(ports) },
    { heading: 'IMAGE', cell: ({ image }) => image },
    { heading: 'ASKED', isWide: true, cell: ({ imageAsked }) => imageAsked },
    { heading: 'FALLBACK', isWide: true, cell: ({ fallbackReason }) => fallbackReason },
    { heading: 'PID', isWide: true, cell: ({ pid }) => pid },
    {
      heading: 'UP',
      cell: ({ state, startedAt }) => (state === 'running' ? ageCell(startedAt, Date.now()) : null),
    },
    { heading: 'RESTARTS', cell: ({ restarts }) => restarts },
    { heading: 'UPDATE', cell: ({ update }) => (update && update.state !== 'updated' ? update.state : null) },
    { heading: 'LIMIT REACHED', cell: ({ limitsReached }) => describeReached(limitsReached, Date.now()) },
  ],
};

export function register(program: Command): void {
  withList(program.command('ps'), CONTAINERS)
    .description('list containers')
    .option('--all', 'also those that were removed')
    .option('--tenant <name>', 'of this tenant only', parseName)
    .option('--host <name>', 'on this host only', parseName)
    .option('--image <image>', 'on this image only, name or name@version')
    .addOption(new Option('--state <state>', 'in this state only').choices([...CONTAINER_STATES]))
    .addHelpText(
      'after',
      '\nHEALTH is starting, healthy or unhealthy, and - for a container that does not run or has no health ' +
        'check.\n' +
        'PORTS are those of the host, each with the port of the container that it leads to.\n' +
        'LIMIT REACHED is each limit that it has reached, and how long ago it last did: see plinth inspect.\n\n' +
        'Examples:\n  plinth ps --tenant acme --sort up:desc\n  plinth ps --state failed -o name | xargs -n1 plinth start',
    )
    .action(
      async (
        options: ListOptions & {
          all?: boolean;
          tenant?: string;
          host?: string;
          image?: string;
          state?: ContainerState;
        },
      ) => {
        await withClient(options.nats, async (client) => {
          const { all, tenant, host, image, state } = options;
          await printList(options, client.pages(QUERIES.containers, { all, tenant, host, image, state }), CONTAINERS);
        });
      },
    );
}
