/** `plinth completion`: what a shell reads to complete commands, options and names. */
import { type Command, Argument } from 'commander';
import { SCRIPTS, type Shell, SHELLS } from '../completion/scripts.js';

export function register(program: Command): void {
  program
    .command('completion')
    .description('print a script by which a shell completes commands, options, and names of what is there')
    .addArgument(new Argument('<shell>', 'which one').choices([...SHELLS]))
    .addHelpText(
      'after',
      '\nExamples:\n  plinth completion bash > /etc/bash_completion.d/plinth\n  source <(plinth completion zsh)\n' +
        '  plinth completion fish | source',
    )
    .action((shell: Shell) => void process.stdout.write(SCRIPTS[shell]));
}
