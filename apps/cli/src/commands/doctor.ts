import type { Command } from 'commander';
import { homeDirectory } from '@plinth/stack';

export function register(program: Command): void {
  program
    .command('doctor')
    .description('check whether this machine has what plinth needs')
    .option('--json', 'JSON for programs')
    .addHelpText(
      'after',
      '\nExits with 0 when no check fails; warnings are allowed.\n\nExample:\n  plinth doctor --json',
    )
    .action(async (options: { json?: boolean }) => {
      const [{ checkMachine }, { checkPrograms }] = await Promise.all([
        import('../doctor/machine.js'),
        import('../doctor/programs.js'),
      ]);
      const checks = [...checkMachine(homeDirectory()), ...checkPrograms()];
      const failed = checks.filter((check) => check.state === 'fail').length;
      if (options.json) process.stdout.write(`${JSON.stringify({ ok: failed === 0, checks }, null, 2)}\n`);
      else {
        for (const { name, state, found, todo } of checks)
          process.stdout.write(
            `${state.padEnd(4)}  ${name.padEnd(14)} ${found}${todo ? `\n      ${' '.repeat(14)} -> ${todo}` : ''}\n`,
          );
        process.stdout.write(
          failed === 0
            ? 'this machine is fit\n'
            : `${failed === 1 ? '1 check fails' : `${failed} checks fail`}; see the lines with ->\n`,
        );
      }
      if (failed > 0) process.exitCode = 1;
    });
}
