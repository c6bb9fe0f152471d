/** The tool: its name and how its help looks; with all commands, for what needs all of them. */
import { Command, Help } from 'commander';
import { COMMANDS } from './commands/index.js';

const help = new Help();

/** Without commands: the caller registers those that it needs. */
export function emptyProgram(): Command {
  return new Command('plinth')
    .description('Thousands of containers on shared, versioned, read-only OS images')
    .enablePositionalOptions()
    .configureHelp({
      optionDescription: (option) => `${help.optionDescription(option)}${option.mandatory ? ' (required)' : ''}`,
    });
}

export async function wholeProgram(): Promise<Command> {
  const program = emptyProgram();
  for (const load of Object.values(COMMANDS)) (await load()).register(program);
  return program;
}
