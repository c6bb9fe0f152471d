/** `plinth host`: where containers may be placed. */
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { actOnHost, waitUntilDrained } from '@plinth/client';
import { parseCount } from './arguments.js';
import { print } from '../output/print.js';
import { duration, type SharedOptions, withShared } from './options.js';

interface DrainOptions extends SharedOptions {
  parallel?: number;
  wait: boolean;
  timeout: number;
}

export function register(program: Command): void {
  const host = program
    .command('host')
    .description('cordon, drain and uncordon hosts')
    .action(() => host.help({ error: true }));
  withShared(host.command('cordon'))
    .description('place nothing new on a host; what is there stays')
    .addHelpText('after', '\nExample:\n  plinth host cordon host-1')
    .argument('<host>', 'as plinth hosts lists it')
    .action(async (name: string, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        await actOnHost(client, 'cordon', name);
        print(
          options,
          { host: name, cordoned: true },
          () => `${name} is cordoned; plinth host uncordon ${name} undoes that`,
        );
      });
    });
  withShared(host.command('uncordon'))
    .description('place containers on a host again; ends a drain')
    .addHelpText('after', '\nExample:\n  plinth host uncordon host-1')
    .argument('<host>', 'as plinth hosts lists it')
    .action(async (name: string, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        await actOnHost(client, 'uncordon', name);
        print(options, { host: name, cordoned: false }, () => `${name} takes containers again`);
      });
    });
  withShared(host.command('drain'))
    .description(
      'cordon a host and move its containers to others; each is stopped and started again on another host with ' +
        'the same data',
    )
    .addHelpText('after', '\nExample:\n  plinth host drain host-1 --parallel 4')
    .argument('<host>', 'as plinth hosts lists it')
    .option('--parallel <n>', 'containers that move at the same time (default: 1)', parseCount)
    .option('--no-wait', 'return when the drain has begun')
    .addOption(duration('--timeout <duration>', 'how long to wait; the drain goes on after it', '10m'))
    .action(async (name: string, options: DrainOptions) => {
      await withClient(options.nats, async (client) => {
        await actOnHost(client, 'drain', name, { parallel: options.parallel });
        if (!options.wait)
          return print(
            options,
            { host: name, cordoned: true, drained: false },
            () => `${name} is being drained; plinth hosts shows its progress`,
          );
        await waitUntilDrained(client, name, options.timeout, ({ drain }) => {
          if (!options.json)
            process.stderr.write(`${drain?.left ?? 0} left${drain?.waiting ? `; waiting: ${drain.waiting}` : ''}\n`);
        });
        print(
          options,
          { host: name, cordoned: true, drained: true },
          () => `nothing is left on ${name}; it stays cordoned: plinth host uncordon ${name}`,
        );
      });
    });
}
