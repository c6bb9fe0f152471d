import type { Command } from 'commander';
import { withClient } from '../client/connection.js';
import { parseCount } from '../client/inputs.js';
import { ClientError } from '../client/plinth-client.js';
import { type SharedOptions, withShared, withTenant } from './options.js';

export function register(program: Command): void {
  withTenant(withShared(program.command('logs')))
    .description("a container's output")
    .argument('<container>', 'name or id')
    .option('-f, --follow', 'go on as it writes')
    .option('--tail <n>', 'last lines only', parseCount)
    .option('--timestamps', 'with the time of each line')
    .addHelpText('after', '\nExample:\n  plinth logs -f --tail 20 shop-1')
    .action(async (name: string, options: SharedOptions & { tenant: string; follow?: boolean; tail?: number; timestamps?: boolean }) => {
      await withClient(options.nats, async (client) => {
        const { id, host } = await client.container(name, options.tenant);
        if (!host) throw new ClientError(`${name} has no host yet`, 'wrong-state');
        const stop = new AbortController();
        process.once('SIGINT', () => stop.abort());
        try {
          const { follow, tail, timestamps } = options;
          await client.logs(host, { containerId: id, follow, tail, timestamps }, (stream, chunk) => void (stream === 'stderr' ? process.stderr : process.stdout).write(chunk), stop.signal);
        } catch (error) {
          if (!(error instanceof ClientError) || error.reason !== 'aborted' || !stop.signal.aborted) throw error;
        }
      });
    });
}
