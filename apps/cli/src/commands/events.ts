import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { printJson, printLine } from '../output/print.js';
import { duration, type SharedOptions, withShared } from './options.js';

export function register(program: Command): void {
  withShared(program.command('events'))
    .description('print stored events, and with -f new ones')
    .argument('[subject]', 'NATS subject, wildcards allowed; absent: every event', '>')
    .option('-f, --follow', 'print new events as they arrive')
    .addOption(duration('--since <duration>', 'how far back', '10m'))
    .addHelpText('after', "\nExample:\n  plinth events -f 'container.*'")
    .action(async (subject: string, options: SharedOptions & { follow?: boolean; since: number }) => {
      await withClient(options.nats, async (client) => {
        const stop = new AbortController();
        process.once('SIGINT', () => stop.abort());
        await client.history(
          {
            subject,
            since: new Date(Date.now() - options.since),
            follow: options.follow ?? false,
            signal: stop.signal,
          },
          (fact) => {
            if (options.json) printJson(fact, 0);
            else printLine(`${fact.time}  ${fact.subject.padEnd(28)} ${JSON.stringify(fact.data)}`);
          },
        );
      });
    });
}
