import type { Command } from 'commander';
import { withClient } from '../client/connection.js';
import { ClientError } from '../client/plinth-client.js';
import { printLine } from '../output/print.js';
import { type SharedOptions, withShared, withTenant } from './options.js';

export function register(program: Command): void {
  withTenant(withShared(program.command('inspect')))
    .description('everything about one container: state, config, history, memory and mounts (JSON)')
    .argument('<container>', 'name or id')
    .addHelpText('after', '\nExample:\n  plinth inspect shop-1')
    .action(async (name: string, options: SharedOptions & { tenant: string }) => {
      await withClient(options.nats, async (client) => {
        const details = await client.container(name, options.tenant);
        const stats =
          details.state === 'running' && details.host
            ? await client.stats(details.host, details.id).catch((error: unknown) => {
                // The host may be away; the rest is still worth showing.
                if (error instanceof ClientError) return [];
                throw error;
              })
            : [];
        printLine(JSON.stringify({ ...details, stats: stats[0] ?? null }, null, 2));
      });
    });
}
