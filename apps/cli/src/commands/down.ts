import type { Command } from 'commander';
import { homeDirectory } from '@plinth/stack';

export function register(program: Command): void {
  program
    .command('down')
    .description('stop the stack on this machine, its containers too; nothing is left running or mounted')
    .addHelpText('after', '\nExample:\n  plinth down --data')
    .option('--data', 'delete images, volumes and everything else in PLINTH_HOME as well')
    .action(async (options: { data?: boolean }) => {
      const { stopStack } = await import('@plinth/stack');
      const home = homeDirectory();
      const report = await stopStack(home, {
        data: options.data ?? false,
        onProgress: (line) => void process.stdout.write(`${line}\n`),
      });
      if (report.left.length > 0) {
        process.stderr.write(`plinth: still there: ${report.left.join(', ')}; run plinth down again\n`);
        process.exitCode = 1;
      } else
        process.stdout.write(
          report.stopped === 0
            ? 'nothing was running\n'
            : `stopped; ${options.data ? 'the data is deleted' : `the data stays in ${home}`}\n`,
        );
    });
}
