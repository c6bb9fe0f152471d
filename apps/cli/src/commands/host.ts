/** `plinth host`: where containers may be placed. */
import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { actOnHost, hostNamed, labelHost, waitUntilDrained } from '@plinth/client';
import { parseCount } from './arguments.js';
import { print } from '../output/print.js';
import { describeLabels, parseLabelChange } from './placement-arguments.js';
import { duration, type SharedOptions, withShared } from './options.js';

interface DrainOptions extends SharedOptions {
  parallel?: number;
  wait: boolean;
  timeout: number;
}

export function register(program: Command): void {
  const host = program
    .command('host')
    .description('cordon, drain, uncordon and label hosts')
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
  withShared(host.command('label'))
    .description("set and remove labels of a host, which containers ask for with --on; they win over its agent's")
    .addHelpText(
      'after',
      '\nA label that is removed is that of the host agent again (PLINTH_LABELS), if it reports one.\n' +
        'Containers that are there stay where they are.\n\n' +
        'Examples:\n  plinth host label host-1 gpu=yes rack=r1\n  plinth host label host-1 gpu-\n  plinth host label host-1',
    )
    .argument('<host>', 'as plinth hosts lists it')
    .argument('[labels...]', 'gpu=yes sets one, gpu- removes it; none: show what the host has')
    .action(async (name: string, words: string[], options: SharedOptions, command: Command) => {
      const change = parseLabelChange(words);
      if (typeof change === 'string') return command.error(`error: ${change}`, { exitCode: 2 });
      await withClient(options.nats, async (client) => {
        if (words.length > 0) await labelHost(client, name, change);
        const status = await hostNamed(client, name);
        const shown = { host: name, labels: status.labels, labelsSet: status.labelsSet };
        print(options, shown, () => `${name}: ${describeLabels(status.labels) || 'no labels'}`);
      });
    });
}
