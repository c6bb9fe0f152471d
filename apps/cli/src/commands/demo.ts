import type { Command } from 'commander';
import { withClient } from '../connection.js';
import { homeDirectory } from '@plinth/stack';

export function register(program: Command): void {
  program
    .command('demo')
    .description('start a stack if none runs and take the tour: build, promote, run, inspect')
    .addHelpText('after', '\nExample:\n  plinth demo')
    .action(async () => {
      const { startStack } = await import('@plinth/stack');
      const { tour } = await import('../demo/tour.js');
      const { stack } = await startStack({
        home: homeDirectory(),
        hosts: 2,
        storageNodes: 2,
        onProgress: (line) => void process.stdout.write(`${line}\n`),
      });
      await withClient(stack.natsUrl, tour);
    });
}
