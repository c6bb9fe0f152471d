import type { ContainerStats } from '@plinth/contracts';
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { type List, type ListOptions, printList, withList } from '../output/list.js';
import { sizeCell } from '../output/table.js';
import { withTenant } from './options.js';

type Row = ContainerStats & { readonly name: string; readonly host: string | null };

const STATS: List<Row> = {
  name: ({ containerId }) => containerId,
  columns: [
    { heading: 'NAME', cell: ({ name }) => name },
    { heading: 'HOST', cell: ({ host }) => host },
    { heading: 'PID', cell: ({ pid }) => pid },
    { heading: 'PROCESSES', cell: ({ processes }) => processes },
    { heading: 'PRIVATE', cell: ({ privateBytes }) => sizeCell(privateBytes) },
    { heading: 'SHARED', cell: ({ sharedBytes }) => sizeCell(sharedBytes) },
    { heading: 'FAIR SHARE', cell: ({ proportionalBytes }) => sizeCell(proportionalBytes) },
    { heading: 'CGROUP', cell: ({ cgroupBytes }) => sizeCell(cgroupBytes) },
    { heading: 'DISK', cell: ({ limits }) => sizeCell(limits?.diskBytes) },
    {
      heading: 'THROTTLED',
      cell: ({ limits }) => limits && { text: `${(limits.throttledMs / 1000).toFixed(1)} s`, by: limits.throttledMs },
    },
    { heading: 'RECEIVED', cell: ({ network }) => sizeCell(network?.receivedBytes) },
    { heading: 'SENT', cell: ({ network }) => sizeCell(network?.sentBytes) },
  ],
};

export function register(program: Command): void {
  withTenant(withList(program.command('stats'), STATS))
    .description('what running containers use: memory, data, processor time and network')
    .addHelpText(
      'after',
      '\nPRIVATE is memory that only this container uses, SHARED what others use too, FAIR SHARE its part of both.\n' +
        'CGROUP is what the kernel counts against its memory limit, DISK what its data take where that is limited.\n' +
        'THROTTLED is how long its processes waited, together, for processor time above its limit.\n\n' +
        'Examples:\n  plinth stats\n  plinth stats shop-1',
    )
    .argument('[container]', 'name or id; absent: all')
    .action(async (name: string | undefined, options: ListOptions & { tenant: string }) => {
      await withClient(options.nats, async (client) => {
        const containers =
          name === undefined
            ? await client.containers({ state: 'running' })
            : [await client.container(name, options.tenant)];
        const hosts = [...new Set(containers.flatMap((container) => (container.host ? [container.host] : [])))];
        const stats = (await Promise.all(hosts.map((host) => client.stats(host)))).flat();
        const rows = containers.flatMap((container) =>
          stats
            .filter((item) => item.containerId === container.id)
            .map((item) => ({ name: container.name, host: container.host, ...item })),
        );
        await printList(options, rows, STATS);
      });
    });
}
