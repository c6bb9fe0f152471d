/** `plinth host`: where containers may be placed. */
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { actOnHost, waitUntilDrained } from '@plinth/client';
import { parseCount, parseDuration } from './arguments.js';
import { print } from '../output/print.js';
import { type SharedOptions, withShared } from './options.js';

interface DrainOptions extends SharedOptions {
  parallel?: number;
  wait: boolean;
  timeout: number;
}

const TEN_MINUTES_MS = 600_000;

export function register(program: Command): void {
  const host = program
    .command('host')
    .description('cordon, drain and uncordon hosts')
    .action(() => host.help({ error: true }));
  withShared(host.command('cordon'))
    .description('place nothing new on a host; what is there stays')
    .argument('<host>')
    .action(async (name: string, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        await actOnHost(client, 'cordon', name);
        print(
          options,
          { host: name, cordoned: true },
          () => `${name} is cordoned; plinth host uncordon ${name} takes that back`,
        );
      });
    });
  withShared(host.command('uncordon'))
    .description('place containers on a host again; ends a drain')
    .argument('<host>')
    .action(async (name: string, options: SharedOptions) => {
      await withClient(options.nats, async (client) => {
        await actOnHost(client, 'uncordon', name);
        print(options, { host: name, cordoned: false }, () => `${name} takes containers again`);
      });
    });
  withShared(host.command('drain'))
    .description(
      'cordon a host and move its containers to others; each is stopped there and started anew on the same data',
    )
    .argument('<host>')
    .option('--parallel <n>', 'containers on their way at the same time (the default: 1)', parseCount)
    .option('--no-wait', 'return when the drain has begun')
    .option(
      '--timeout <duration>',
      'how long to wait (the default: 10m); the drain goes on',
      parseDuration,
      TEN_MINUTES_MS,
    )
    .action(async (name: string, options: DrainOptions) => {
      await withClient(options.nats, async (client) => {
        await actOnHost(client, 'drain', name, { parallel: options.parallel });
        if (!options.wait)
          return print(
            options,
            { host: name, cordoned: true, drained: false },
            () => `${name} is being drained; plinth hosts shows how far it is`,
          );
        await waitUntilDrained(client, name, options.timeout, ({ drain }) => {
          if (!options.json)
            process.stderr.write(`${drain?.left ?? 0} left${drain?.waiting ? `; waits: ${drain.waiting}` : ''}\n`);
        });
        print(
          options,
          { host: name, cordoned: true, drained: true },
          () => `nothing is left on ${name}; it stays cordoned: plinth host uncordon ${name}`,
        );
      });
    });
}
