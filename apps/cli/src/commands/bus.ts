import type { Command } from 'commander';
import { missingMessages, replicasAt } from '@plinth/client';
import { print } from '../output/print.js';
import { table } from '../output/table.js';

interface BusOptions {
  readonly monitors?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('bus')
    .description("compare the copies of each stream on the bus's servers; exits with 1 when one lacks messages")
    .option('--monitors <urls>', 'monitoring of each server, with commas between; absent: PLINTH_BUS_MONITORS')
    .option('--json', 'JSON for programs')
    .addHelpText('after', '\nExample:\n  plinth bus --monitors http://bus-1:8222,http://bus-2:8222,http://bus-3:8222')
    .action(async ({ monitors = process.env['PLINTH_BUS_MONITORS'], json = false }: BusOptions) => {
      if (!monitors) throw new Error('name the servers: --monitors http://bus-1:8222,…, or PLINTH_BUS_MONITORS');
      const replicas = (await Promise.all(monitors.split(',').map((url) => replicasAt(url.trim())))).flat();
      const problems = missingMessages(replicas);
      print({ json }, { replicas, problems }, () =>
        [
          table(
            ['STREAM', 'SERVER', 'LEADER', 'MESSAGES', 'FIRST', 'LAST'],
            replicas
              .toSorted((a, b) => a.stream.localeCompare(b.stream))
              .map((copy) => [
                copy.stream,
                copy.server,
                copy.leader,
                copy.messages,
                copy.firstSequence,
                copy.lastSequence,
              ]),
          ),
          ...problems,
          ...(problems.length > 0
            ? [
                '-> set PLINTH_BUS_REPLICAS to 1, restart the provisioners, set it to 3 again: the copies are made again',
              ]
            : []),
        ].join('\n'),
      );
      if (problems.length > 0) process.exitCode = 1;
    });
}
