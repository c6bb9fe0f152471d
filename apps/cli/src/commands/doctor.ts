import type { Command } from 'commander';
import { print } from '../output/print.js';
import { table } from '../output/table.js';

export function register(program: Command): void {
  program
    .command('doctor')
    .description('check whether this machine can run Plinth, and say what to do where it can not')
    .option('--json', 'JSON for programs')
    .action(async (options: { json?: boolean }) => {
      const { examine } = await import('../stack/examine.js');
      const findings = await examine();
      print(options, findings, () => table(['', 'CHECK', 'FOUND', 'WHAT TO DO'], findings.map((finding) => [finding.level, finding.name, finding.found, finding.advice])));
      if (findings.some((finding) => finding.level === 'fail')) process.exitCode = 1;
    });
}
