import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { print } from '../output/print.js';
import { bytes, table } from '../output/table.js';
import { type SharedOptions, withShared, withTenant } from './options.js';

export function register(program: Command): void {
  withTenant(withShared(program.command('stats')))
    .description(
      'memory of running containers, what each has alone and what it shares with others, what their data take where ' +
        'that is limited, how long they waited for processor time above their limit, and their network traffic',
    )
    .addHelpText('after', '\nExample:\n  plinth stats shop-1')
    .argument('[container]', 'name or id; absent: all')
    .action(async (name: string | undefined, options: SharedOptions & { tenant: string }) => {
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
        print(options, rows, () =>
          table(
            [
              'NAME',
              'HOST',
              'PID',
              'PROCESSES',
              'PRIVATE',
              'SHARED',
              'FAIR SHARE',
              'CGROUP',
              'DISK',
              'THROTTLED',
              'RECEIVED',
              'SENT',
            ],
            rows.map((row) => [
              row.name,
              row.host,
              row.pid,
              row.processes,
              bytes(row.privateBytes),
              bytes(row.sharedBytes),
              bytes(row.proportionalBytes),
              bytes(row.cgroupBytes),
              bytes(row.limits?.diskBytes),
              row.limits ? `${(row.limits.throttledMs / 1000).toFixed(1)} s` : '-',
              row.network ? bytes(row.network.receivedBytes) : '-',
              row.network ? bytes(row.network.sentBytes) : '-',
            ]),
          ),
        );
      });
    });
}
