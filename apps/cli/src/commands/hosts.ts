import { type HostStatus, QUERIES } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { type List, type ListOptions, printList, withList } from '../output/list.js';
import { ageCell, sizeCell } from '../output/table.js';
import { describeLabels } from './placement-arguments.js';

export const HOSTS: List<HostStatus> = {
  name: ({ host }) => host,
  columns: [
    { heading: 'HOST', cell: ({ host }) => host },
    {
      heading: 'STATE',
      cell: ({ state, drain, cordoned }) =>
        `${state}${drain ? `, ${drain.left} to leave` : cordoned ? ', cordoned' : ''}`,
    },
    { heading: 'DATACENTER', cell: ({ datacenter }) => datacenter },
    { heading: 'STORAGE', cell: ({ storageNodes }) => storageNodes.join(',') },
    {
      heading: 'CONTAINERS',
      cell: ({ allocated, capacity }) => ({
        text: `${allocated.containers}/${capacity.containers}`,
        by: allocated.containers,
      }),
    },
    { heading: 'MEMORY GIVEN', cell: ({ allocated }) => sizeCell(allocated.memoryBytes) },
    { heading: 'OF', cell: ({ capacity }) => sizeCell(capacity.memoryBytes) },
    { heading: 'LOAD', cell: ({ load }) => ({ text: load.load1.toFixed(2), by: load.load1 }) },
    { heading: 'RUNTIME', isWide: true, cell: ({ runtime }) => runtime },
    {
      heading: 'NETWORK',
      cell: ({ cniNetwork, network }) => (cniNetwork ? `cni ${cniNetwork}` : network ? 'container' : 'isolated'),
    },
    { heading: 'DISK LIMITS', isWide: true, cell: ({ diskLimits }) => diskLimits.join(',') },
    { heading: 'IO LIMITS', isWide: true, cell: ({ ioLimits }) => ioLimits.join(',') },
    { heading: 'MISSING LIMITS', isWide: true, cell: ({ missingLimits = [] }) => missingLimits.join(',') },
    { heading: 'USERS', isWide: true, cell: users },
    { heading: 'ADDRESS', cell: ({ address }) => address },
    { heading: 'LAST SEEN', cell: ({ lastSeenAt }) => ageCell(lastSeenAt, Date.now()) },
  ],
};

/** Instead of the others; sorted by those that both have. */
const LABELS: List<HostStatus> = {
  name: HOSTS.name,
  columns: [
    ...HOSTS.columns.slice(0, 3),
    { heading: 'LABELS', cell: ({ labels }) => describeLabels(labels) },
    { heading: 'SET BY OPERATORS', cell: ({ labelsSet }) => describeLabels(labelsSet) },
  ],
};

export function register(program: Command): void {
  withList(program.command('hosts'), HOSTS)
    .description('list hosts with capacity and load')
    .addHelpText(
      'after',
      '\nNETWORK is container where containers can have an address of their own.\n' +
        'DISK LIMITS are the storage nodes on which the host can hold a data volume to its limit (--disk).\n' +
        'IO LIMITS is what the host can limit of input and output: weight (--io-weight), maxima (--io-max).\n' +
        'MISSING LIMITS are what it can not hold: no container is placed there that asks for one of them.\n' +
        "USERS are those that containers have: their own, on which storage nodes; when the host's (--host-users).\n\n" +
        'Examples:\n  plinth hosts --sort load:desc -o wide\n  plinth hosts --labels',
    )
    .option('--labels', 'list their labels instead')
    .action(async (options: ListOptions & { labels?: boolean }) => {
      await withClient(options.nats, async (client) => {
        const pages = client.pages(QUERIES.hosts, {});
        await printList(options, pages, options.labels ? LABELS : HOSTS);
      });
    });
}

/** Whose users containers have there: `own on sn-1, host on request`. */
function users({ ownUsers, hostUsers }: HostStatus): string {
  if (ownUsers === null || hostUsers === null) return '-';
  const own = ownUsers.length > 0 ? [`own on ${ownUsers.join(',')}`] : [];
  return [...own, ...(hostUsers === 'never' ? [] : [`host: ${hostUsers}`])].join('; ') || 'none';
}
