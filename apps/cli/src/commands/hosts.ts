import { type HostStatus, QUERIES } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { printPages } from '../output/print.js';
import { age, bytes } from '../output/table.js';
import { type SharedOptions, withShared } from './options.js';
import { describeLabels } from './placement-arguments.js';

export function register(program: Command): void {
  withShared(program.command('hosts'))
    .description('list hosts with capacity and load')
    .addHelpText(
      'after',
      '\nNETWORK is container where containers can have an address of their own.\n' +
        'DISK LIMITS are the storage nodes on which the host can hold a data volume to its limit (--disk).\n' +
        'IO LIMITS is what the host can limit of input and output: weight (--io-weight), maxima (--io-max).\n' +
        "USERS are those that containers have: their own, on which storage nodes; when the host's (--host-users).\n\n" +
        'Examples:\n  plinth hosts --json\n  plinth hosts --labels',
    )
    .option('--labels', 'list their labels instead')
    .action(async (options: SharedOptions & { labels?: boolean }) => {
      await withClient(options.nats, async (client) => {
        const pages = client.pages(QUERIES.hosts, {});
        if (options.labels)
          return printPages(options, pages, ['HOST', 'STATE', 'DATACENTER', 'LABELS', 'SET BY OPERATORS'], (host) => [
            host.host,
            host.state,
            host.datacenter,
            describeLabels(host.labels) || null,
            describeLabels(host.labelsSet) || null,
          ]);
        await printPages(
          options,
          pages,
          [
            'HOST',
            'STATE',
            'DATACENTER',
            'STORAGE',
            'CONTAINERS',
            'MEMORY GIVEN',
            'OF',
            'LOAD',
            'RUNTIME',
            'NETWORK',
            'DISK LIMITS',
            'IO LIMITS',
            'USERS',
            'ADDRESS',
            'LAST SEEN',
          ],
          (host) => [
            host.host,
            `${host.state}${host.drain ? `, ${host.drain.left} to leave` : host.cordoned ? ', cordoned' : ''}`,
            host.datacenter,
            host.storageNodes.join(','),
            `${host.allocated.containers}/${host.capacity.containers}`,
            bytes(host.allocated.memoryBytes),
            bytes(host.capacity.memoryBytes),
            host.load.load1.toFixed(2),
            host.runtime,
            host.cniNetwork ? `cni ${host.cniNetwork}` : host.network ? 'container' : 'isolated',
            host.diskLimits.join(',') || null,
            host.ioLimits.join(',') || null,
            users(host),
            host.address ?? '-',
            age(host.lastSeenAt, Date.now()),
          ],
        );
      });
    });
}

/** Whose users containers have there: `own on sn-1, host on request`. */
function users({ ownUsers, hostUsers }: HostStatus): string {
  if (ownUsers === null || hostUsers === null) return '-';
  const own = ownUsers.length > 0 ? [`own on ${ownUsers.join(',')}`] : [];
  return [...own, ...(hostUsers === 'never' ? [] : [`host: ${hostUsers}`])].join('; ') || 'none';
}
