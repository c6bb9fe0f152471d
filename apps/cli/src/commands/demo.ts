import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { homeDirectory } from '@plinth/stack';

export function register(program: Command): void {
  program
    .command('demo')
    .description('start a stack if none runs and take the tour: build, promote, run, inspect')
    .addHelpText('after', '\nExample:\n  plinth demo')
    .action(async () => {
      const { consoleAddress, consoleLink, consoleLinkFile, startStack } = await import('@plinth/stack');
      const { printLine } = await import('../output/print.js');
      const { tour } = await import('../demo/tour.js');
      const { stack } = await startStack({
        home: homeDirectory(),
        hosts: 2,
        storageNodes: 2,
        onProgress: (line) => void process.stdout.write(`${line}\n`),
      });
      await withClient(stack.natsUrl, tour);
      const address = consoleAddress(stack);
      if (address === undefined) return;
      const person = { user: 'admin', role: 'admin', tenants: [] } as const;
      printLine('To see it in a browser of this machine, within a minute (later: ./plinth console):');
      printLine(consoleLink(address, consoleLinkFile(stack.home), person));
    });
}
